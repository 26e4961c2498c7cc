package dev.gptq.models.forward;

import com.google.common.collect.ImmutableMap;
import dev.gptq.backend.Backend;
import dev.gptq.models.BadInputException;
import dev.gptq.models.gptqformat.GptqConfig;
import dev.gptq.models.gptqformat.GptqTensors;
import dev.gptq.models.safetensors.Checkpoint;
import dev.gptq.models.safetensors.StoredTensor;
import dev.gptq.pack.PackedMatrix;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.Layout;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.util.Optional;

/**
 * Brings the tensors of a checkpoint into a backend's memory, as that backend's activation type.
 * Linear layers may come packed: from a quantized checkpoint, or replaced by matrices that have
 * just been quantized.
 */
public final class WeightSource {
  private final Backend backend;
  private final Checkpoint checkpoint;
  private final Optional<GptqConfig> quantization;
  private final ImmutableMap<String, PackedMatrix> replaced;

  /**
   * A source.
   *
   * @param quantization settings of a quantized checkpoint
   * @param replaced packed weights by full module name that stand in for the checkpoint's
   */
  public WeightSource(
      Backend backend,
      Checkpoint checkpoint,
      Optional<GptqConfig> quantization,
      ImmutableMap<String, PackedMatrix> replaced) {
    this.backend = backend;
    this.checkpoint = checkpoint;
    this.quantization = quantization;
    this.replaced = replaced;
  }

  /** The linear layer of that full name; packed if it is quantized. */
  public Linear linear(String module, int outputs, int inputs, boolean bias, TensorScope scope) {
    Optional<Tensor> biasTensor =
        bias ? Optional.of(vector(module + ".bias", outputs, scope)) : Optional.empty();
    Optional<PackedMatrix> packed = packed(module);
    if (packed.isEmpty()) {
      return new Linear.Dense(matrix(module + ".weight", outputs, inputs, scope), biasTensor);
    }
    if (packed.get().rows() != outputs || packed.get().columns() != inputs) {
      throw new BadInputException(
          checkpoint.folder()
              + ": "
              + module
              + " is packed as "
              + packed.get().rows()
              + " x "
              + packed.get().columns()
              + " but config.json makes it "
              + outputs
              + " x "
              + inputs);
    }
    return new Linear.Packed(backend.packed().prepare(packed.get(), scope), biasTensor);
  }

  /** The packed weights of a module, if it is quantized. */
  public Optional<PackedMatrix> packed(String module) {
    if (replaced.containsKey(module)) {
      return Optional.of(replaced.get(module));
    }
    if (quantization.isPresent() && GptqTensors.has(checkpoint, module)) {
      return Optional.of(GptqTensors.read(checkpoint, module, quantization.get()).matrix());
    }
    return Optional.empty();
  }

  /** A matrix in the type in which the checkpoint stores it, rows contiguous. */
  public Tensor stored(String name, int rows, int columns, TensorScope scope) {
    StoredTensor stored = require(name, rows, columns);
    return scope.upload(stored.data(), realType(stored), rows, columns, Layout.ROW_MAJOR);
  }

  /** A matrix of the activation type, rows contiguous. */
  public Tensor matrix(String name, int rows, int columns, TensorScope scope) {
    return upload(require(name, rows, columns), rows, columns, scope);
  }

  private StoredTensor require(String name, int rows, int columns) {
    StoredTensor stored = checkpoint.require(name);
    if (stored.shape().size() != 2
        || stored.shape().get(0) != rows
        || stored.shape().get(1) != columns) {
      throw wrongShape(stored, rows + " x " + columns);
    }
    return stored;
  }

  /** File and name of a tensor, for messages. */
  public String describe(String name) {
    return checkpoint.require(name).file() + ": tensor " + name;
  }

  /** A row vector of the activation type. */
  public Tensor vector(String name, int size, TensorScope scope) {
    StoredTensor stored = checkpoint.require(name);
    if (stored.shape().size() != 1 || stored.shape().get(0) != size) {
      throw wrongShape(stored, "[" + size + "]");
    }
    return upload(stored, 1, size, scope);
  }

  private Tensor upload(StoredTensor stored, int rows, int columns, TensorScope scope) {
    DType type = realType(stored);
    if (type == backend.activationType()) {
      return scope.upload(stored.data(), type, rows, columns, Layout.ROW_MAJOR);
    }
    try (TensorScope local = backend.newScope()) {
      Tensor raw = local.upload(stored.data(), type, rows, columns, Layout.ROW_MAJOR);
      Tensor converted = scope.rowMajor(backend.activationType(), rows, columns);
      backend.linalg().convert(raw, converted);
      return converted;
    }
  }

  private static DType realType(StoredTensor stored) {
    return stored
        .type()
        .toDType()
        .filter(DType::isReal)
        .orElseThrow(() ->
            new BadInputException(
                stored.file()
                    + ": tensor "
                    + stored.name()
                    + " has dtype "
                    + stored.type()
                    + "; weights must be F32, F16 or BF16"));
  }

  private static BadInputException wrongShape(StoredTensor stored, String expected) {
    return new BadInputException(
        stored.file()
            + ": tensor "
            + stored.name()
            + " has shape "
            + stored.shape()
            + " but config.json makes it "
            + expected);
  }
}
