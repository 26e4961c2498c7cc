package dev.gptq.formats.compressed;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableSet;
import dev.gptq.formats.packed.Format;
import dev.gptq.formats.packed.GroupRefusals;
import dev.gptq.formats.packed.ModuleSettings;
import dev.gptq.formats.packed.PackedModule;
import dev.gptq.formats.packed.QuantizedModel;
import dev.gptq.formats.safetensors.StoredTensor;
import java.util.Optional;
import tools.jackson.databind.node.ObjectNode;

/**
 * {@code pack-quantized} of compressed-tensors. A module with prefix P, b bits, G groups has
 *
 * <ul>
 *   <li>{@code P.weight_packed} I32 [out, ⌈in·b/32⌉]: each row a stream of codes (see {@link
 *       dev.gptq.pack.BitStream}), dense at every width as since release 0.18;
 *   <li>{@code P.weight_scale} [out, G];
 *   <li>{@code P.weight_zero_point} I32 [⌈out·b/32⌉, G]: each column a stream; asymmetric only;
 *   <li>{@code P.weight_shape} I64 [2]: out, in;
 *   <li>{@code P.bias} as the model has it.
 * </ul>
 *
 * <p>Releases before 0.19 also know {@code P.weight_g_idx} I32 [in], the group of each input
 * feature; it is read and never written.
 */
final class CompressedFormat implements Format {
  static final String ID = "compressed-tensors";

  private static final ImmutableList<String> PARTS =
      ImmutableList.of(
          "weight_packed", "weight_scale", "weight_zero_point", "weight_shape", "weight_g_idx");

  @Override
  public String id() {
    return ID;
  }

  @Override
  public Optional<String> refusal(ModuleSettings settings, int rows, int columns) {
    if (settings.bits() < 2 || settings.bits() > 8) {
      return Optional.of("has no loader for codes of " + settings.bits() + " bits");
    }
    if (!settings.sym() && settings.bits() != 4 && settings.bits() != 8) {
      return Optional.of("has asymmetric grids of 4 and 8 bits only, not " + settings.bits());
    }
    return GroupRefusals.scattered(settings).or(() -> GroupRefusals.uneven(settings, columns));
  }

  @Override
  public ImmutableList<StoredTensor> encode(PackedModule module) {
    return new CompressedEncoder(module).encode();
  }

  @Override
  public ImmutableList<String> parts() {
    return PARTS;
  }

  @Override
  public ObjectNode settings(QuantizedModel model) {
    return CompressedSettings.toJson(model);
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
