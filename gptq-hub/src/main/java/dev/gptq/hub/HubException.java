package dev.gptq.hub;

import java.io.IOException;

/**
 * What was asked of the hub cannot be had. The message names the repository or file and says what
 * to do about it; text of the server in it holds no control characters.
 */
public final class HubException extends IOException {
  private static final long serialVersionUID = 1L;

  /** What kind of failure it is. */
  public enum Reason {
    /** A name, a revision or a setting that cannot be meant. */
    INVALID,
    /** No such repository, revision or file, or one that the token may not see. */
    NOT_FOUND,
    /** The token is missing, wrong, or has not the right that is needed. */
    UNAUTHORIZED,
    /** Its owner wants terms accepted first. */
    GATED,
    /** Only the cache may be used, and it does not hold what is needed. */
    OFFLINE,
    /** No answer, or none that is of use, after several attempts. */
    UNREACHABLE,
    /** What came is not what was announced. */
    DAMAGED,
    /** The disk is too small. */
    NO_SPACE
  }

  private final Reason reason;

  HubException(Reason reason, String message) {
    super(message);
    this.reason = reason;
  }

  HubException(Reason reason, String message, Throwable cause) {
    super(message, cause);
    this.reason = reason;
  }

  /** What kind of failure it is. */
  public Reason reason() {
    return reason;
  }
}
