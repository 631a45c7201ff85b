"""HTTP: parse → use case → response. Errors become problem documents in `errors`, and nowhere else."""
