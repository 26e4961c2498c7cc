package dev.gptq.cli;

import dev.gptq.models.BadInputException;
import dev.gptq.models.Model;
import dev.gptq.models.gptqformat.GptqTensors;
import dev.gptq.models.safetensors.StoredTensor;
import dev.gptq.pack.PackedMatrix;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.function.LongToDoubleFunction;

/** How the weights of a module are distributed, in text. */
final class WeightHistogram {
  private static final int BINS = 25;
  private static final int WIDTH = 60;

  private final String name;
  private final double mean;
  private final double deviation;
  private final double lowest;
  private final double highest;
  private final long[] bins = new long[BINS];

  private WeightHistogram(String name, long count, LongToDoubleFunction weight) {
    this.name = name;
    double sum = 0;
    double squares = 0;
    double min = Double.POSITIVE_INFINITY;
    double max = Double.NEGATIVE_INFINITY;
    for (long i = 0; i < count; i++) {
      double w = weight.applyAsDouble(i);
      sum += w;
      squares += w * w;
      min = Math.min(min, w);
      max = Math.max(max, w);
    }
    this.mean = sum / count;
    this.deviation = Math.sqrt(Math.max(0, squares / count - mean * mean));
    this.lowest = min;
    this.highest = max;
    for (long i = 0; i < count; i++) {
      double place = (weight.applyAsDouble(i) - min) / Math.max(max - min, Double.MIN_NORMAL);
      bins[Math.min(BINS - 1, (int) (place * BINS))]++;
    }
  }

  static WeightHistogram of(Model model, String module) {
    if (model.quantization().isPresent() && GptqTensors.has(model.checkpoint(), module)) {
      PackedMatrix matrix =
          GptqTensors.read(model.checkpoint(), module, model.quantization().get()).matrix();
      return new WeightHistogram(
          module,
          (long) matrix.rows() * matrix.columns(),
          i -> matrix.weight((int) (i / matrix.columns()), (int) (i % matrix.columns())));
    }
    StoredTensor tensor =
        model
            .checkpoint()
            .find(module + ".weight")
            .orElseGet(() -> model.checkpoint().require(module));
    MemorySegment data = tensor.data();
    return new WeightHistogram(
        module,
        tensor.elements(),
        switch (tensor.type()) {
          case F32 -> i -> data.getAtIndex(ValueLayout.JAVA_FLOAT_UNALIGNED, i);
          case F16 ->
              i -> Float.float16ToFloat(data.getAtIndex(ValueLayout.JAVA_SHORT_UNALIGNED, i));
          case BF16 ->
              i -> Float.intBitsToFloat(data.getAtIndex(ValueLayout.JAVA_SHORT_UNALIGNED, i) << 16);
          default ->
              throw new BadInputException(
                  tensor.file()
                      + ": tensor "
                      + tensor.name()
                      + " holds "
                      + tensor.type()
                      + ", not weights");
        });
  }

  List<String> lines() {
    List<String> lines = new ArrayList<>();
    lines.add(
        String.format(
            Locale.ROOT,
            "%s: mean %.3g, standard deviation %.3g, from %.3g to %.3g",
            name,
            mean,
            deviation,
            lowest,
            highest));
    long most = 1;
    for (long bin : bins) {
      most = Math.max(most, bin);
    }
    for (int b = 0; b < BINS; b++) {
      double from = lowest + (highest - lowest) * b / BINS;
      lines.add(
          String.format(Locale.ROOT, "%10.4f  %10d  ", from, bins[b])
              + "#".repeat((int) (bins[b] * WIDTH / most)));
    }
    return lines;
  }
}
