package dev.gptq.hub;

import java.util.Locale;

/**
 * How far a transfer is.
 *
 * @param done bytes that are there, those of earlier attempts among them
 * @param total bytes of all files
 * @param bytesPerSecond the rate of the last seconds
 * @param secondsLeft at that rate; infinite while nothing comes
 */
public record TransferProgress(long done, long total, double bytesPerSecond, double secondsLeft) {
  /** As in {@code 3.2 GB of 16.1 GB, 87.0 MB/s}. */
  public String amounts() {
    return String.format(
        Locale.ROOT,
        "%s of %s, %s/s",
        Text.size(done),
        Text.size(total),
        Text.size((long) bytesPerSecond));
  }
}
