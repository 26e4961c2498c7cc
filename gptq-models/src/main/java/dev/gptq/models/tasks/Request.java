package dev.gptq.models.tasks;

/**
 * How likely is a continuation of a context?
 *
 * @param context what stands before it; not empty
 * @param continuation with the space that it begins with
 */
public record Request(String context, String continuation) {}
