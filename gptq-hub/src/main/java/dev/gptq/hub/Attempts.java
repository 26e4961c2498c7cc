package dev.gptq.hub;

import dev.gptq.hub.HubException.Reason;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.net.ConnectException;
import java.net.http.HttpHeaders;
import java.net.http.HttpTimeoutException;
import java.time.Duration;
import java.time.Instant;
import java.time.ZonedDateTime;
import java.time.format.DateTimeFormatter;
import java.time.format.DateTimeParseException;
import java.util.Locale;
import java.util.Optional;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import javax.net.ssl.SSLException;

/**
 * The failures of one request in a row: which are worth another attempt, and how long to wait. A
 * request that brought something may fail anew as often.
 */
final class Attempts {
  private static final Set<Integer> PASSING = Set.of(408, 429, 500, 502, 503, 504);
  private static final Pattern RESET = Pattern.compile("\\br=0\\b.*\\bt=(\\d{1,6})\\b");

  private final Tuning tuning;
  private final TransferListener listener;
  private final String host;
  private int failures;

  Attempts(Tuning tuning, TransferListener listener, String host) {
    this.tuning = tuning;
    this.listener = listener;
    this.host = host;
  }

  /** Whether an answer with this status may be another one soon. */
  static boolean mayPass(int status) {
    return PASSING.contains(status);
  }

  /** The request brought something. */
  void succeeded() {
    failures = 0;
  }

  /** Waits before the next attempt, or throws if there was none left or the failure is final. */
  void failed(IOException failure) throws IOException {
    if (failure instanceof HubException || failure instanceof InterruptedIOException) {
      throw failure;
    }
    failures++;
    int allowed =
        failure instanceof ConnectException ? Math.min(3, tuning.attempts()) : tuning.attempts();
    if (failure instanceof SSLException || failures >= allowed) {
      throw unreachable(failure);
    }
    pause(backoff(), describe(failure));
  }

  /** Waits after an answer with a status that may pass; false if there is no attempt left. */
  boolean failed(int status, HttpHeaders headers) throws IOException {
    failures++;
    if (failures >= tuning.attempts()) {
      return false;
    }
    Duration asked = asked(headers).orElse(Duration.ZERO);
    Duration pause = asked.compareTo(backoff()) > 0 ? asked : backoff();
    pause(pause, "it answers " + status);
    return true;
  }

  private Duration backoff() {
    return tuning.firstPause().multipliedBy(1L << Math.min(failures - 1, 20));
  }

  private void pause(Duration wanted, String why) throws IOException {
    Duration pause = wanted.compareTo(tuning.longestPause()) < 0 ? wanted : tuning.longestPause();
    listener.note(
        String.format(
            Locale.ROOT,
            "%s: %s; trying again in %.0f s",
            host,
            why,
            Math.ceil(pause.toMillis() / 1e3)));
    try {
      Thread.sleep(pause);
    } catch (InterruptedException e) {
      throw interrupted(e);
    }
  }

  /** An interrupt as an exception of input and output; the thread stays interrupted. */
  static InterruptedIOException interrupted(InterruptedException cause) {
    Thread.currentThread().interrupt();
    InterruptedIOException failure = new InterruptedIOException("interrupted");
    failure.initCause(cause);
    return failure;
  }

  private HubException unreachable(IOException failure) {
    String remedy =
        failure instanceof SSLException
            ? "if a proxy signs its traffic itself, give Java its certificate with"
                + " -Djavax.net.ssl.trustStore"
            : "look at the network, HTTPS_PROXY and HF_ENDPOINT, or set HF_HUB_OFFLINE=1 to use the"
                + " cache";
    return new HubException(
        Reason.UNREACHABLE,
        "%s cannot be reached (%s); %s".formatted(host, describe(failure), remedy),
        failure);
  }

  private static String describe(IOException failure) {
    return switch (failure) {
      case HttpTimeoutException e -> "no answer in time";
      case ConnectException e -> "no connection";
      default ->
          Text.printable(
              failure.getMessage() == null
                  ? failure.getClass().getSimpleName()
                  : failure.getMessage());
    };
  }

  /** How long the server asks to wait, as seconds, as a date, or as what is left of its window. */
  private static Optional<Duration> asked(HttpHeaders headers) {
    Optional<String> after = headers.firstValue("Retry-After").map(String::strip);
    if (after.isPresent()) {
      if (after.get().matches("\\d{1,6}")) {
        return Optional.of(Duration.ofSeconds(Integer.parseInt(after.get())));
      }
      try {
        return Optional.of(
            Duration.between(
                Instant.now(),
                ZonedDateTime.parse(after.get(), DateTimeFormatter.RFC_1123_DATE_TIME)
                    .toInstant()));
      } catch (DateTimeParseException e) {
        // Neither form: as if the header were not there.
        return Optional.empty();
      }
    }
    return headers
        .firstValue("RateLimit")
        .map(RESET::matcher)
        .filter(Matcher::find)
        .map(m -> Duration.ofSeconds(Integer.parseInt(m.group(1))));
  }
}
