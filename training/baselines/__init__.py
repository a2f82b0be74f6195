"""What a model must beat, fitted on the training years only."""
