package dev.gptq.models.forward;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import dev.gptq.backend.Backend;
import dev.gptq.backend.PackedWeights;
import dev.gptq.formats.BadInputException;
import dev.gptq.formats.packed.PackedLinears;
import dev.gptq.formats.packed.StoredLinear;
import dev.gptq.formats.safetensors.Checkpoint;
import dev.gptq.formats.safetensors.StoredTensor;
import dev.gptq.models.family.BlockSpec;
import dev.gptq.models.family.LinearSpec;
import dev.gptq.models.family.NormSpec;
import dev.gptq.models.family.Step;
import dev.gptq.pack.JoinedRows;
import dev.gptq.pack.PackedMatrix;
import dev.gptq.tensor.DType;
import dev.gptq.tensor.HostCopies;
import dev.gptq.tensor.Layout;
import dev.gptq.tensor.Tensor;
import dev.gptq.tensor.TensorScope;
import java.lang.foreign.Arena;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.function.Consumer;
import java.util.stream.Stream;

/**
 * Brings the tensors of a checkpoint into a backend's memory, as that backend's activation type.
 * Linear layers may come packed: from a quantized checkpoint, or replaced by matrices that have
 * just been quantized.
 */
public final class WeightSource {
  private final Backend backend;
  private final Checkpoint checkpoint;
  private final Optional<? extends PackedLinears> quantization;
  private final ImmutableMap<String, PackedMatrix> replaced;
  private final ImmutableMap<String, Tensor> brought;
  private final Consumer<String> warnings;

  /**
   * A source.
   *
   * @param quantization quantized modules of the checkpoint
   * @param replaced packed weights by full module name that stand in for the checkpoint's
   * @param warnings hears what is odd about packed weights that can be read all the same
   */
  public WeightSource(
      Backend backend,
      Checkpoint checkpoint,
      Optional<? extends PackedLinears> quantization,
      ImmutableMap<String, PackedMatrix> replaced,
      Consumer<String> warnings) {
    this(backend, checkpoint, quantization, replaced, ImmutableMap.of(), warnings);
  }

  private WeightSource(
      Backend backend,
      Checkpoint checkpoint,
      Optional<? extends PackedLinears> quantization,
      ImmutableMap<String, PackedMatrix> replaced,
      ImmutableMap<String, Tensor> brought,
      Consumer<String> warnings) {
    this.backend = backend;
    this.checkpoint = checkpoint;
    this.quantization = quantization;
    this.replaced = replaced;
    this.brought = brought;
    this.warnings = warnings;
  }

  /** The same tensors for the memory of another device. */
  public WeightSource on(Backend device) {
    return new WeightSource(device, checkpoint, quantization, replaced, warnings);
  }

  /**
   * Brings the weights of a block's linear layers into a backend's memory as they are stored, by
   * the names of their tensors. What is packed, or cannot be used, is left where it is.
   *
   * @param scope of this source's backend or a lane of it
   */
  public ImmutableMap<String, Tensor> bring(BlockSpec block, TensorScope scope) {
    return matrices(block)
        .collect(ImmutableMap.toImmutableMap(StoredTensor::name, matrix -> upload(matrix, scope)));
  }

  /** Bytes that {@link #bring} takes for a block. */
  public long bytesToBring(BlockSpec block) {
    return matrices(block).mapToLong(StoredTensor::byteSize).sum();
  }

  /** The same with tensors that {@link #bring} has brought, which are not brought again. */
  public WeightSource with(ImmutableMap<String, Tensor> tensors) {
    return new WeightSource(backend, checkpoint, quantization, replaced, tensors, warnings);
  }

  /** Whether the activation type rounds weights of a block's linear layers. */
  public boolean rounds(BlockSpec block) {
    return matrices(block).anyMatch(matrix -> !isExact(matrix));
  }

  /** The weights of a block's linear layers that are matrices of numbers, as they should be. */
  private Stream<StoredTensor> matrices(BlockSpec block) {
    return block
        .linears()
        .map(block::nameOf)
        .filter(module -> !isPacked(module))
        .map(module -> checkpoint.find(module + ".weight"))
        .flatMap(Optional::stream)
        .filter(weight -> weight.shape().size() == 2)
        .filter(weight -> weight.type().toDType().filter(DType::isReal).isPresent())
        .distinct();
  }

  private boolean isPacked(String module) {
    return replaced.containsKey(module)
        || (quantization.isPresent() && quantization.get().has(module));
  }

  /** Brings the weights of a block from the disk into the system's cache, as far as it has room. */
  public void readAhead(BlockSpec block) {
    matrices(block).forEach(StoredTensor::readAhead);
  }

  /** Says that nobody reads the weights of a block for now, see {@link StoredTensor#letGo}. */
  public void letGo(BlockSpec block) {
    matrices(block).forEach(StoredTensor::letGo);
  }

  /** The linear layer of that full name; packed if it is quantized. */
  public Linear linear(String module, LinearSpec spec, TensorScope scope) {
    return linear(module, spec, packed(module, spec), scope);
  }

  private Linear linear(
      String module, LinearSpec spec, Optional<PackedMatrix> packed, TensorScope scope) {
    Optional<Tensor> bias = bias(module, spec, scope);
    return packed.isEmpty()
        ? new Linear.Dense(dense(module, spec, scope), bias)
        : new Linear.Packed(backend.packed().prepare(packed.get(), scope), bias);
  }

  /** Loads layers that share an input: as one if all are packed alike, or else each by itself. */
  void linears(BlockSpec block, Step.Linears group, BlockWeights into, TensorScope scope) {
    List<Optional<PackedMatrix>> packed =
        group.modules().stream().map(module -> packed(block.nameOf(module), module)).toList();
    List<PackedMatrix> matrices = packed.stream().flatMap(Optional::stream).toList();
    int count = packed.size();
    if (count > 1 && matrices.size() == count && JoinedRows.fit(matrices)) {
      into.joined().put(group, joined(block, group, matrices, scope));
      return;
    }
    for (int i = 0; i < count; i++) {
      LinearSpec module = group.modules().get(i);
      into.linears()
          .put(module.module(), linear(block.nameOf(module), module, packed.get(i), scope));
    }
  }

  private JoinedLinears joined(
      BlockSpec block, Step.Linears group, List<PackedMatrix> matrices, TensorScope scope) {
    ImmutableList.Builder<JoinedLinears.Part> parts = ImmutableList.builder();
    int from = 0;
    for (LinearSpec module : group.modules()) {
      int to = from + module.outputs();
      Optional<Tensor> bias = bias(block.nameOf(module), module, scope);
      parts.add(new JoinedLinears.Part(module.out(), from, to, bias));
      from = to;
    }
    try (Arena arena = Arena.ofShared()) {
      PackedWeights whole = backend.packed().prepare(JoinedRows.of(matrices, arena), scope);
      return new JoinedLinears(whole, from, parts.build());
    }
  }

  private Optional<Tensor> bias(String module, LinearSpec spec, TensorScope scope) {
    return spec.bias()
        ? Optional.of(vector(module + ".bias", spec.outputs(), scope))
        : Optional.empty();
  }

  /** The packed weights of a layer, if it is quantized, which have its shape. */
  private Optional<PackedMatrix> packed(String module, LinearSpec spec) {
    int outputs = spec.outputs();
    int inputs = spec.inputs();
    Optional<PackedMatrix> packed = packed(module);
    if (packed.isEmpty()) {
      return packed;
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
    return packed;
  }

  /** The packed weights of a module, if it is quantized. */
  public Optional<PackedMatrix> packed(String module) {
    if (replaced.containsKey(module)) {
      return Optional.of(replaced.get(module));
    }
    if (quantization.isPresent() && quantization.get().has(module)) {
      StoredLinear stored = quantization.get().read(module);
      stored.warnings().forEach(warnings);
      return Optional.of(stored.matrix());
    }
    return Optional.empty();
  }

  /** The weight of a linear layer, outputs × inputs, in the type in which it is stored. */
  public Tensor stored(String module, LinearSpec spec, TensorScope scope) {
    String name = module + ".weight";
    return switch (spec.storage()) {
      case OUT_IN -> upload(require(name, spec.outputs(), spec.inputs()), scope);
      case IN_OUT -> upload(require(name, spec.inputs(), spec.outputs()), scope).transposed();
    };
  }

  /** Whether the activation type holds the stored weight of a linear layer without rounding. */
  public boolean isExact(String module) {
    return isExact(checkpoint.require(module + ".weight"));
  }

  private boolean isExact(StoredTensor weight) {
    return realType(weight) == backend.activationType() || backend.activationType() == DType.F32;
  }

  /** The weight of a linear layer, of the activation type, rows contiguous. */
  private Tensor dense(String module, LinearSpec spec, TensorScope scope) {
    try (TensorScope local = backend.newScope()) {
      Tensor dense = scope.rowMajor(backend.activationType(), spec.outputs(), spec.inputs());
      backend.linalg().convert(stored(module, spec, local), dense);
      return dense;
    }
  }

  /** A matrix of the activation type, rows contiguous. */
  public Tensor matrix(String name, int rows, int columns, TensorScope scope) {
    return converted(require(name, rows, columns), rows, columns, scope);
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
    // One gain for each of one head has two dimensions.
    if (stored.elements() != size || stored.shape().getLast() != size) {
      throw wrongShape(stored, "[" + size + "]");
    }
    return converted(stored, 1, size, scope);
  }

  /** The taps of a convolution, width × features, of the activation type. */
  Tensor taps(String name, int features, int width, TensorScope scope) {
    StoredTensor stored = checkpoint.require(name);
    if (!stored.shape().equals(ImmutableList.of((long) features, 1L, (long) width))) {
      throw wrongShape(stored, "[" + features + ", 1, " + width + "]");
    }
    try (TensorScope local = backend.newScope()) {
      Tensor taps = scope.rowMajor(backend.activationType(), width, features);
      backend.linalg().convert(upload(stored, features, width, local).transposed(), taps);
      return taps;
    }
  }

  /** All elements of a small tensor, of whatever shape. */
  float[] floats(String name, int size) {
    StoredTensor stored = checkpoint.require(name);
    if (stored.elements() != size) {
      throw wrongShape(stored, "[" + size + "]");
    }
    try (TensorScope local = backend.newScope()) {
      Tensor floats = local.rowMajor(DType.F32, 1, size);
      backend.linalg().convert(upload(stored, 1, size, local), floats);
      return HostCopies.floats(floats);
    }
  }

  /** Gains of several heads, one after the other as a row vector of the activation type. */
  Tensor gains(String name, NormSpec spec, TensorScope scope) {
    if (spec.gains() == 1) {
      return vector(name, spec.size(), scope);
    }
    StoredTensor stored = require(name, spec.gains(), spec.size());
    return converted(stored, 1, spec.gains() * spec.size(), scope);
  }

  /** A row vector of the activation type that is not stored. */
  Tensor constant(int size, float value, TensorScope scope) {
    float[] values = new float[size];
    Arrays.fill(values, value);
    return row(values, scope);
  }

  /** A row vector of the activation type. */
  Tensor row(float[] values, TensorScope scope) {
    try (TensorScope local = backend.newScope()) {
      Tensor row = scope.rowMajor(backend.activationType(), 1, values.length);
      backend.linalg().convert(local.upload(values), row);
      return row;
    }
  }

  /** {@code vector ← vector + 1}; of the activation type. */
  void addOne(Tensor vector) {
    try (TensorScope local = backend.newScope()) {
      backend.transformer().add(constant(vector.columns(), 1, local), vector);
    }
  }

  private Tensor converted(StoredTensor stored, int rows, int columns, TensorScope scope) {
    try (TensorScope local = backend.newScope()) {
      Tensor converted = scope.rowMajor(backend.activationType(), rows, columns);
      backend.linalg().convert(upload(stored, rows, columns, local), converted);
      return converted;
    }
  }

  private Tensor upload(StoredTensor matrix, TensorScope scope) {
    return upload(matrix, matrix.rows(), matrix.columns(), scope);
  }

  private Tensor upload(StoredTensor stored, int rows, int columns, TensorScope scope) {
    Tensor there = brought.get(stored.name());
    return there == null
        ? scope.upload(stored::data, realType(stored), rows, columns, Layout.ROW_MAJOR)
        : there;
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
