package dev.gptq.quantizer.run;

import com.google.common.collect.ImmutableList;
import dev.gptq.backend.Backend;
import dev.gptq.backend.BackendOptions;
import dev.gptq.models.text.TokenWindows;
import dev.gptq.reference.ReferenceBackendProvider;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.OptionalInt;
import java.util.SplittableRandom;

/** A quantization in a process of its own, which {@link CrashTest} kills. */
final class KilledRun {
  /** What it prints when its work begins. */
  static final String BEGUN = "begun";

  private KilledRun() {}

  /**
   * Quantizes the model of the first argument into the folder of the second; with a third it
   * replaces what is there and observes.
   */
  public static void main(String[] arguments) throws IOException {
    int[] stream = new SplittableRandom(9).ints(4 * 32, 0, 64).toArray();
    ImmutableList<int[]> windows = TokenWindows.consecutive(stream, 32, OptionalInt.empty());
    try (Backend backend = new ReferenceBackendProvider().open(BackendOptions.defaults())) {
      try (OutputStream out = new FileOutputStream(FileDescriptor.out)) {
        out.write((BEGUN + "\n").getBytes(StandardCharsets.UTF_8));
      }
      Quantization quantization =
          Quantization.of(Path.of(arguments[0]))
              .bits(4)
              .groupSize(32)
              .windows(windows)
              .on(backend)
              .to(Path.of(arguments[1]));
      if (arguments.length > 2) {
        quantization
            .bits(2)
            .overwrite(true)
            .observing(new Observing.Worst(6, Observing.Measure.ERROR));
      }
      quantization.run(QuantizationListener.NONE);
    }
  }
}
