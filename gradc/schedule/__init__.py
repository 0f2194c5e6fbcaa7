"""Graph to loop program: which loops there are, what shares them, what is stored and what is computed again."""
