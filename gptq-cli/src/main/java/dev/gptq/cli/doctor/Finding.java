package dev.gptq.cli.doctor;

/**
 * What was seen of one thing that a run needs.
 *
 * @param subject the thing
 * @param state whether it will do
 * @param what what was seen
 * @param remedy what to do about it; nothing where it will do
 */
public record Finding(String subject, State state, String what, String remedy) {
  /** Whether a thing will do. */
  public enum State {
    /** It will. */
    FINE("ok"),
    /** A run may be slow or fail. */
    POOR("warning"),
    /** It is not there, and others can do its work. */
    ABSENT("absent"),
    /** Nothing runs without it. */
    FAILS("failure");

    private final String word;

    State(String word) {
      this.word = word;
    }

    /** As it is printed. */
    public String word() {
      return word;
    }
  }

  static Finding fine(String subject, String what) {
    return new Finding(subject, State.FINE, what, "");
  }
}
