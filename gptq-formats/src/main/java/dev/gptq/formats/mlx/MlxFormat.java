package dev.gptq.formats.mlx;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableSet;
import dev.gptq.formats.packed.Format;
import dev.gptq.formats.packed.GroupRefusals;
import dev.gptq.formats.packed.ModuleSettings;
import dev.gptq.formats.packed.Offsets;
import dev.gptq.formats.packed.PackedModule;
import dev.gptq.formats.packed.QuantizedModel;
import dev.gptq.formats.packed.Stacked;
import dev.gptq.formats.safetensors.StoredTensor;
import java.util.Optional;
import tools.jackson.databind.node.ObjectNode;

/**
 * The affine mode of MLX. A module with prefix P, b bits, G groups of 32, 64 or 128 columns has
 *
 * <ul>
 *   <li>{@code P.weight} U32 [out, in·b/32]: each row a stream of codes u (see {@link
 *       dev.gptq.pack.BitStream});
 *   <li>{@code P.scales} [out, G] and {@code P.biases} [out, G], of one type: {@code w = scale·u +
 *       bias}, so that the bias is {@code −scale·zero};
 *   <li>{@code P.bias} as the model has it.
 * </ul>
 *
 * <p>Experts of a layer are one module, see {@link MlxExperts}.
 */
final class MlxFormat implements Format {
  static final String ID = "mlx";

  /** Columns of a group where the matrix has one scale a row. */
  private static final int OF_ROWS = 64;

  /** Scales first: a weight alone may belong to a module that is not quantized. */
  private static final ImmutableList<String> PARTS = ImmutableList.of("scales", "weight", "biases");

  static final ImmutableSet<Integer> WIDTHS = ImmutableSet.of(2, 3, 4, 5, 6, 8);

  @Override
  public String id() {
    return ID;
  }

  @Override
  public Optional<String> refusal(ModuleSettings settings, int rows, int columns) {
    if (!WIDTHS.contains(settings.bits())) {
      return Optional.of("has no codes of " + settings.bits() + " bits");
    }
    Optional<String> scattered = GroupRefusals.scattered(settings);
    if (scattered.isPresent()) {
      return scattered;
    }
    int group = groupSize(settings);
    if (settings.groupSize() != -1 && settings.groupSize() % group != 0) {
      return Optional.of(
          "has groups of 32, 64 and 128, and %d is no multiple of 32"
              .formatted(settings.groupSize()));
    }
    return columns % group == 0
        ? Optional.empty()
        : Optional.of("has groups of %d, which do not divide %d".formatted(group, columns));
  }

  /** The widest group of MLX of which a group of these settings is made. */
  static int groupSize(ModuleSettings settings) {
    int size = settings.groupSize();
    if (size == -1) {
      return OF_ROWS;
    }
    return size % 128 == 0 ? 128 : size % 64 == 0 ? 64 : 32;
  }

  @Override
  public int scaleBits(int bits, boolean sym) {
    return sym ? BOTH_TYPES : Offsets.scaleBits(bits);
  }

  @Override
  public ImmutableList<StoredTensor> encode(PackedModule module) {
    return new MlxEncoder(module).encode();
  }

  @Override
  public Optional<Stacked> stacked(String modelType, String module) {
    return MlxExperts.stacked(modelType, module);
  }

  @Override
  public ImmutableList<String> parts() {
    return PARTS;
  }

  @Override
  public ObjectNode settings(QuantizedModel model) {
    return MlxSettings.toJson(model);
  }

  @Override
  public void complete(ObjectNode config, ObjectNode settings) {
    MlxConfig.complete(config, settings);
  }

  @Override
  public String framework() {
    return ID;
  }

  @Override
  public Optional<String> settingsFile() {
    return Optional.empty();
  }

  @Override
  public ImmutableSet<String> ownFiles() {
    return ImmutableSet.of();
  }
}
