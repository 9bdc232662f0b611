"""Every job this house has seen: journal, follower, keeper, ledger."""
