"""What Prefect runs: order and report only, one screen per flow. No types are defined here, and no decisions made."""
