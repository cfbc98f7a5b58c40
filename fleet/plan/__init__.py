"""Plans an experiment on its machines as trials in blocks; pure.

`expand` makes the plan, with `canaries` around its blocks and the `contrasts` that are compared.
`resume` removes what is finished, `stopping` what is known well enough. Below them stand the
`selection` of machines, the time `estimate` and the `refusals`.
"""
