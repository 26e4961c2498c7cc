package dev.gptq.models.tasks;

/**
 * What a model thinks of a {@link Request}.
 *
 * @param logProbability the sum over the continuation's tokens of {@code ln p(token | all before)}
 * @param greedy whether each of these tokens is the most likely one
 */
public record Likelihood(double logProbability, boolean greedy) {}
