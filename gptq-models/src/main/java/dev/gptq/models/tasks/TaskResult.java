package dev.gptq.models.tasks;

import com.google.common.collect.ImmutableList;

/**
 * What a model reached in a task.
 *
 * @param task which
 * @param shots examples before each question
 * @param documents number of questions
 * @param scores a score for each metric of the task
 */
public record TaskResult(Task task, int shots, int documents, ImmutableList<Score> scores) {
  /** The score that counts: the last. */
  public Score main() {
    return scores.getLast();
  }
}
