"""Is the canary worse than stable, and how sure is that? Pure statistics over whole minutes.

`minutes` is what is judged, `judging` judges it, `verdict` is what comes out, and `outlook` says beforehand how long that takes. The rest is
one idea a file: `betting` (evidence that may be looked at every minute), `counts` (errors), `coarse`, `nearby`, `signed` and `tops` (latency
by percentiles), `ranks` (single values), `safety` (what a pass needs), `limits`, `split`, `catastrophe`, `quality`, `risk`, `metrics`.
Where the minutes come from is `gateways.metrics`; what follows from a verdict is `tasks`. May import `domain.manifest` and the standard
library only.
"""
