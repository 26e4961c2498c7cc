package dev.gptq.hub;

import java.time.Duration;

/**
 * What a test makes small.
 *
 * @param partSize bytes that one request asks for
 * @param connections requests at once
 * @param attempts how often in a row a request may bring nothing
 * @param firstPause the pause after the first failure; each further one is twice as long
 * @param longestPause the longest pause, also where the server asks for more
 */
record Tuning(
    int partSize, int connections, int attempts, Duration firstPause, Duration longestPause) {
  static final Tuning DEFAULT =
      new Tuning(32 << 20, 8, 5, Duration.ofSeconds(1), Duration.ofMinutes(5));
}
