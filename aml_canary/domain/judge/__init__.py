"""Is the canary worse than stable, and how sure is that? Pure statistics over whole minutes.

`minutes` is what is judged, `verdict` what comes out. Where the minutes come from is `gateways.metrics`; what follows from a verdict is
`tasks`. May import `domain.manifest` and the standard library only.
"""
