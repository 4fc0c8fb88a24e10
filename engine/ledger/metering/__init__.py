"""Metering and cost: usage, prices, the ledger of charges, budgets, statements and forecasts."""
