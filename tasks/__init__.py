"""The stages and edges of a rollout as retryable Prefect tasks: a name, a retry policy, one gateway call.

Decisions are not made here (`aml_canary.domain`), order is not kept here (`flows`).
"""
