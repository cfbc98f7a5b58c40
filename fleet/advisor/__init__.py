"""Will it fit, how fast could it be, why was it slow, what would do it: answers by arithmetic."""
