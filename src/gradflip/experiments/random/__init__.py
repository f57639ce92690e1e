"""Networks at random initialisation (Montanari & Wu 2022)."""
