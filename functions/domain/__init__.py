"""What the Lambdas decide: pure, the time an argument, the reason returned with the decision."""
