"""How much shipped and new teachers have learnt."""
