package dev.gptq.simd;

import dev.gptq.backend.BackendOptions;
import java.util.Arrays;
import java.util.Locale;
import java.util.Optional;
import java.util.stream.Collectors;

/**
 * How activations enter products with 4-bit weights. Other widths take float32, unless kernels
 * outside of Java multiply them.
 */
enum ActivationMode {
  /** As they are. */
  FLOAT32,
  /** Rounded to 8 bits with a scale for each 32 inputs. */
  INT8,
  /**
   * Rounded for a few rows, which is decoding, where vectors have 256 bits at most: 1.7 times as
   * fast from memory there, for a perplexity 0.04 % higher. With 512 bits float32 decodes as fast
   * or faster, unless the kernels are not Java's. Products of many rows, and with them every
   * evaluation, stay as they are.
   */
  AUTO,
  /**
   * The same for text that is to be continued: rounded for many rows, too, which are its prompt,
   * where the kernels are not Java's. They read it 2.4 to 3.1 times as fast, and what follows is
   * read so anyway.
   */
  GENERATION;

  /** Name of the backend's setting. */
  static final String SETTING = "simd.activations";

  /**
   * Whether a product of so many rows of activations rounds them.
   *
   * @param outsideJava whether it has kernels that are not written in Java
   */
  boolean rounds(boolean manyRows, boolean outsideJava) {
    return switch (this) {
      case FLOAT32 -> false;
      case INT8 -> true;
      case AUTO -> !manyRows && (outsideJava || Lanes.COUNT < 16);
      case GENERATION -> outsideJava || AUTO.rounds(manyRows, false);
    };
  }

  /** Whether keys and values of a text that is continued are rounded to bfloat16. */
  boolean roundsHistory(boolean outsideJava) {
    return outsideJava && (this == INT8 || this == GENERATION);
  }

  /** The value as it is written. */
  String id() {
    return name().toLowerCase(Locale.ROOT);
  }

  /**
   * The mode that the options ask for, that of their purpose if none or one that does not exist.
   */
  static ActivationMode of(BackendOptions options) {
    return Optional.ofNullable(options.settings().get(SETTING))
        .flatMap(ActivationMode::of)
        .orElse(options.purpose() == BackendOptions.Purpose.GENERATE ? GENERATION : AUTO);
  }

  /** The mode of that {@link #id()}. */
  static Optional<ActivationMode> of(String id) {
    return Arrays.stream(values()).filter(mode -> mode.id().equals(id)).findFirst();
  }

  /** All values, for messages. */
  static String known() {
    return Arrays.stream(values()).map(ActivationMode::id).collect(Collectors.joining(", "));
  }
}
