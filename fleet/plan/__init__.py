"""From an experiment and the machines there are to trials in blocks; pure.

`expand` makes the plan, with `canaries` around its blocks, `resume` takes away what is finished,
`stopping` what is known well enough. Below them: `selection` of machines, time `estimate`, and
what is `unfit`.
"""
