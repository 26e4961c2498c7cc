package dev.gptq.simd;

import dev.gptq.backend.Availability;
import dev.gptq.backend.BackendOptions;
import dev.gptq.backend.BackendSetting;
import dev.gptq.simd.kernels.RoundedKernels;
import java.util.Optional;
import java.util.ServiceLoader;

/**
 * Which kernels multiply 4-bit weights with rounded activations: those of Java, or those that are
 * found on the class path. {@code auto}, the default, takes the latter where they can run.
 *
 * @param kernels empty for Java's
 * @param text what was chosen and, where others were found and refused, why
 */
record KernelChoice(Optional<RoundedKernels> kernels, String text) {
  /** Name of the backend's setting. */
  static final String SETTING = "simd.kernels";

  private static final String AUTO = "auto";
  private static final String JAVA = "java";
  private static final String NATIVE = "native";

  /** What may be chosen here: whoever asks for native kernels gets them or is told why not. */
  static BackendSetting setting() {
    Optional<Availability.Unavailable> refusal = nativeRefusal();
    return refusal.isEmpty()
        ? BackendSetting.oneOf(SETTING, AUTO, JAVA, NATIVE)
        : new BackendSetting(
            SETTING,
            "auto or java, as " + refusal.get().reason() + ",",
            value -> value.equals(AUTO) || value.equals(JAVA));
  }

  /** Why the options cannot be followed, if so. */
  static Optional<Availability.Unavailable> refusal(BackendOptions options) {
    return switch (asked(options)) {
      case AUTO, JAVA -> Optional.empty();
      case NATIVE -> nativeRefusal();
      default ->
          Optional.of(
              new Availability.Unavailable(
                  "the setting " + SETTING + " is '" + asked(options) + "'",
                  "Use auto, java or native."));
    };
  }

  /** The choice that options make which are not refused. */
  static KernelChoice of(BackendOptions options) {
    Optional<RoundedKernels> found = asked(options).equals(JAVA) ? Optional.empty() : find();
    Optional<Availability.Unavailable> refusal = found.flatMap(RoundedKernels::refusal);
    if (refusal.isPresent()) {
      return new KernelChoice(Optional.empty(), JAVA + ", as " + refusal.get().reason());
    }
    return new KernelChoice(
        found, found.map(kernels -> NATIVE + ", " + kernels.instructions()).orElse(JAVA));
  }

  private static String asked(BackendOptions options) {
    return options.settings().getOrDefault(SETTING, AUTO);
  }

  private static Optional<RoundedKernels> find() {
    return ServiceLoader.load(RoundedKernels.class).findFirst();
  }

  private static Optional<Availability.Unavailable> nativeRefusal() {
    return find()
        .map(RoundedKernels::refusal)
        .orElseGet(() ->
            Optional.of(
                new Availability.Unavailable(
                    "there are no native kernels on the class path",
                    "Put gptq-native-*.jar there, or leave out " + SETTING + ".")));
  }
}
