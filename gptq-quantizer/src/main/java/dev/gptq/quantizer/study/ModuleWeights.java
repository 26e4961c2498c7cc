package dev.gptq.quantizer.study;

import com.google.common.primitives.ImmutableLongArray;
import dev.gptq.formats.BadInputException;
import dev.gptq.formats.safetensors.StoredTensor;
import dev.gptq.models.Model;
import dev.gptq.pack.PackedMatrix;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.function.LongToDoubleFunction;

/** The weights of a module or the values of a tensor, one after the other. */
public final class ModuleWeights {
  private final String name;
  private final long count;
  private final LongToDoubleFunction weight;

  private ModuleWeights(String name, long count, LongToDoubleFunction weight) {
    this.name = name;
    this.count = count;
    this.weight = weight;
  }

  /** Of a module, quantized or not, or of any other tensor of a model. */
  public static ModuleWeights of(Model model, String module) {
    if (model.quantization().isPresent() && model.quantization().get().has(module)) {
      PackedMatrix matrix = model.quantization().get().read(module).matrix();
      return new ModuleWeights(
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
    return new ModuleWeights(
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

  /** Their distribution over that many stretches. */
  public WeightDistribution distribution(int stretches) {
    double sum = 0;
    double lowest = Double.POSITIVE_INFINITY;
    double highest = Double.NEGATIVE_INFINITY;
    for (long i = 0; i < count; i++) {
      double w = weight.applyAsDouble(i);
      sum += w;
      lowest = Math.min(lowest, w);
      highest = Math.max(highest, w);
    }
    double mean = sum / count;
    double squares = 0;
    double cubes = 0;
    long[] bins = new long[stretches];
    for (long i = 0; i < count; i++) {
      double w = weight.applyAsDouble(i);
      double d = w - mean;
      squares += d * d;
      cubes += d * d * d;
      double place = (w - lowest) / Math.max(highest - lowest, Double.MIN_NORMAL);
      bins[Math.min(stretches - 1, (int) (place * stretches))]++;
    }
    double deviation = Math.sqrt(squares / count);
    long far = 0;
    for (long i = 0; i < count; i++) {
      if (Math.abs(weight.applyAsDouble(i) - mean) > WeightDistribution.FAR * deviation) {
        far++;
      }
    }
    return new WeightDistribution(
        name,
        count,
        mean,
        deviation,
        deviation > 0 ? cubes / count / Math.pow(deviation, 3) : 0,
        (double) far / count,
        lowest,
        highest,
        ImmutableLongArray.copyOf(bins));
  }
}
