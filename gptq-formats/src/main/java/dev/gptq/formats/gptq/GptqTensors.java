package dev.gptq.formats.gptq;

import com.google.common.collect.ImmutableList;
import dev.gptq.formats.gptq.GptqConfig.Version;
import dev.gptq.formats.packed.StoredLinear;
import dev.gptq.formats.safetensors.Checkpoint;
import dev.gptq.formats.safetensors.CheckpointWriter;
import dev.gptq.formats.safetensors.StoredTensor;
import dev.gptq.pack.PackedMatrix;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Optional;

/**
 * The tensors of a quantized module with prefix P, b bits, groups of input features:
 *
 * <ul>
 *   <li>{@code P.qweight} I32 [⌈in·b/32⌉, out]: codes along the input (see {@link
 *       dev.gptq.pack.BitStream});
 *   <li>{@code P.qzeros} I32 [groups, ⌈out·b/32⌉]: zero points along the output, each less by one
 *       in {@link Version#V1};
 *   <li>{@code P.scales} F16 [groups, out];
 *   <li>{@code P.g_idx} I32 [in]: the group of each input feature;
 *   <li>{@code P.bias} F16 [out], if the module has one.
 * </ul>
 */
public final class GptqTensors {
  /** What the names of a module's tensors end in. */
  public static final ImmutableList<String> PARTS =
      ImmutableList.of("qweight", "qzeros", "scales", "g_idx", "bias");

  /** Those of the parts that stand for the weights. */
  public static final ImmutableList<String> WEIGHT_PARTS = PARTS.subList(0, 4);

  private GptqTensors() {}

  /**
   * The tensors of a module in the order of {@link #PARTS}, for a writer that takes many at once.
   * {@code qweight} is the memory of the matrix itself, the others are small and new. Scales must
   * be exact in F16. Throws {@link dev.gptq.formats.BadInputException} if the format cannot hold a
   * zero point: 0 in {@link Version#V1}, or one that is no integer.
   *
   * @param origin the file that messages about the tensors name
   */
  public static ImmutableList<StoredTensor> encode(
      String prefix,
      PackedMatrix matrix,
      Version version,
      Optional<StoredTensor> bias,
      Path origin) {
    return new ModuleEncoder(prefix, matrix, version, origin).encode(bias);
  }

  /** Writes what {@link #encode} makes of a module. */
  public static void write(
      CheckpointWriter writer,
      String prefix,
      PackedMatrix matrix,
      Version version,
      Optional<StoredTensor> bias)
      throws IOException {
    for (StoredTensor tensor : encode(prefix, matrix, version, bias, Path.of(prefix))) {
      writer.add(tensor);
    }
  }

  /** Whether a checkpoint holds the module in quantized form. */
  public static boolean has(Checkpoint checkpoint, String prefix) {
    return checkpoint.find(prefix + ".qweight").isPresent();
  }

  /**
   * Checks types and shapes of a module's tensors against settings and a layer, by the headers
   * alone. Throws {@link dev.gptq.formats.BadInputException} if they do not fit.
   */
  public static void check(
      Checkpoint checkpoint, String prefix, GptqConfig config, int outputs, int inputs) {
    new ModuleReader(checkpoint, prefix, config).check(outputs, inputs);
  }

  /**
   * Reads a module. Throws {@link dev.gptq.formats.BadInputException} if its tensors contradict the
   * settings. The matrix is valid until the checkpoint is closed.
   */
  public static StoredLinear read(Checkpoint checkpoint, String prefix, GptqConfig config) {
    return new ModuleReader(checkpoint, prefix, config).read();
  }
}
