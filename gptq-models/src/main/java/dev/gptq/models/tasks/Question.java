package dev.gptq.models.tasks;

import com.google.common.collect.ImmutableList;

/** One document of a task as a model sees it. */
public sealed interface Question {
  /**
   * Which choice is the most likely one?
   *
   * @param requests one for each choice
   * @param choices their texts, whose lengths count for the normalised accuracy
   * @param gold the index of the right one
   */
  record Choice(ImmutableList<Request> requests, ImmutableList<String> choices, int gold)
      implements Question {}

  /** Is the continuation what the model would say itself? */
  record Completion(Request request) implements Question {}

  /**
   * What does the model say?
   *
   * @param prompt what it continues
   * @param answer the reference
   */
  record Open(String prompt, String answer) implements Question {}
}
