"""How right the judge is, next to the rules of others: the same simulated canaries for all of them.

`families` says what the canaries are like, `traffic` makes their minutes, `kayenta` and `thresholds` are the rules of others,
`panel` runs every judge over a canary, `scores` counts, `claims` is the gate, `tables` and `picture` show it.
May import aml_canary.domain and the standard library.
"""
