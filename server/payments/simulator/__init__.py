"""A payment provider for demo and tests: Stripe's HTTP API, without Stripe and without money.

The shop speaks to it through the real stripe client, at another base address. `app.serve` is the program,
`settings.SimulatorSettings` what it is told.
"""
