"""The thresholds that SQL and Python share: the SQL of the views takes them by name in braces."""

from __future__ import annotations

from fleet.model.gates import BUSY_PERCENT, MOST_OTHERS_MB
from fleet.model.ollama_versions import NEWEST_CHECKED, OLDEST_CHECKED

LEAST_PROMPT_TOKENS = 512
"""Prompt tokens that a rate needs, evaluated and not cached."""
LEAST_OUTPUT_TOKENS = 128
"""Output tokens that a rate needs."""
QUICK_OUTPUT_TOKENS = 16
"""Output tokens that a rate of a quick look needs, which is labelled."""
SHARED_TOKENS = 16
"""Tokens in the engine's cache of a prompt that no other request shares: its first token, and
words that two prompts begin with by chance."""
TEMPLATE_TOKENS = 256
"""The same of a chat's template, whose words stand before those of the request."""
GOOD_FIRST_TOKEN_S = 2.0
GOOD_TOKENS_PER_S = 10.0
"""What a reader calls fluent."""
LEAST_CANARIES = 4
"""Canaries of a session from which on a drift can be seen."""
MOST_DISAGREEMENT = 0.01
"""Share by which the client's decode rate may differ from the engine's, both medians of a cell."""
CLIENT_CLOCK_NS = 1e6
"""What the client's clock can resolve of the time from the first chunk to the last."""
COVERED_SHARE = 0.98
"""Of a request, that readings of energy must cover."""
LEAST_READINGS = 10
"""Readings that an energy needs."""
MOST_GAP_S = 2.0
MOST_GAP_SHARE = 0.05
"""Between two readings: this long, or this share of the time if that is more."""

IN_SQL: dict[str, float] = {
    "least_prompt_tokens": LEAST_PROMPT_TOKENS,
    "least_output_tokens": LEAST_OUTPUT_TOKENS,
    "quick_output_tokens": QUICK_OUTPUT_TOKENS,
    "shared_tokens": SHARED_TOKENS,
    "template_tokens": TEMPLATE_TOKENS,
    "good_first_token_ns": round(GOOD_FIRST_TOKEN_S * 1e9),
    "good_gap_ns": round(1e9 / GOOD_TOKENS_PER_S),
    "busy_percent": BUSY_PERCENT,
    "most_others_mb": MOST_OTHERS_MB,
    "least_canaries": LEAST_CANARIES,
    "most_disagreement": MOST_DISAGREEMENT,
    "client_clock_ns": CLIENT_CLOCK_NS,
    "oldest_checked": 1000 * OLDEST_CHECKED[0] + OLDEST_CHECKED[1],
    "newest_checked": 1000 * NEWEST_CHECKED[0] + NEWEST_CHECKED[1],
    "covered_share": COVERED_SHARE,
    "least_readings": LEAST_READINGS,
    "most_gap_ns": round(MOST_GAP_S * 1e9),
    "most_gap_share_ns": MOST_GAP_SHARE * 1e9,
}
"""By the name in braces."""
