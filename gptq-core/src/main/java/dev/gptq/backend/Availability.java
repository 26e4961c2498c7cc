package dev.gptq.backend;

import com.google.common.collect.ImmutableMap;

/** Whether a backend can run on this machine. */
public sealed interface Availability {

  /**
   * It can.
   *
   * @param rank higher is preferred by {@code auto}
   * @param device the device it would use, for people
   * @param features facts worth a line in a report: vector bits, driver version, threads
   */
  record Available(int rank, String device, ImmutableMap<String, String> features)
      implements Availability {}

  /**
   * It cannot.
   *
   * @param reason what is missing or too old
   * @param remedy what the user can do about it
   */
  record Unavailable(String reason, String remedy) implements Availability {}
}
