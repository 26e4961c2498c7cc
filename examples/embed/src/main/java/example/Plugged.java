package example;

import dev.gptq.backend.Backend;
import dev.gptq.backend.BackendOptions;
import dev.gptq.backend.Backends;
import dev.gptq.pack.PackedMatrix;
import dev.gptq.quantizer.pipeline.Quality;
import dev.gptq.quantizer.run.Calibration;
import dev.gptq.quantizer.run.Quantization;
import dev.gptq.quantizer.run.QuantizationListener;
import java.nio.file.Path;

/** A model of one's own family, from text of one's own codec, in a format of one's own. */
public class Plugged {
  public static void main(String[] arguments) throws Exception {
    Path model = Path.of(arguments[0]);
    Path text = Path.of(arguments[1]);
    Path output = Path.of(arguments[2]);
    try (Backend lent = Backends.open("lent", BackendOptions.defaults(), refused -> {})) {
      System.out.println("opened " + lent.info().name());
    }
    try (Backend backend = Backends.open("auto", BackendOptions.defaults(), refused -> {})) {
      Quantization.of(model)
          .quality(Quality.FAST)
          .calibration(Calibration.of(text).withSamples(1).withLength(32))
          .format("plain")
          .on(backend)
          .to(output)
          .run(QuantizationListener.NONE);
    }
    float[] identity = {1, 0, 0, 1};
    PackedMatrix matrix = OneMatrix.quantize(new float[] {0, 3, -1, 2}, 2, identity, 2);
    System.out.println("one matrix: " + matrix.weight(0, 1) + " in place of 3.0");
  }
}
