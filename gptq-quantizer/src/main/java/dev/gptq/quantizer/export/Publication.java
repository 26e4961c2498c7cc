package dev.gptq.quantizer.export;

import com.google.common.base.Preconditions;
import com.google.common.collect.ImmutableMap;
import dev.gptq.formats.safetensors.WriterOptions;
import java.util.Optional;
import java.util.OptionalLong;

/**
 * What a checkpoint says of itself to those who find it on the hub, and how large its files are.
 *
 * @param baseModel the hub's name of the model that was quantized, {@code owner/name}; where it is
 *     empty, the one that the download cache knows the model by
 * @param shardSize most bytes of tensors in one file, where that was asked for
 * @param facts what was done, for the table of the model card, in its order
 * @param weightFile the file that programs are given, where it is not the folder
 */
public record Publication(
    Optional<String> baseModel,
    OptionalLong shardSize,
    ImmutableMap<String, String> facts,
    Optional<String> weightFile) {
  /** Nothing but what the model itself shows. */
  public static final Publication DEFAULT =
      new Publication(Optional.empty(), OptionalLong.empty(), ImmutableMap.of(), Optional.empty());

  /** Checks the limit. */
  public Publication {
    shardSize.ifPresent(
        size -> Preconditions.checkArgument(size > 0, "a shard of %s bytes holds nothing", size));
  }

  /** Most bytes of tensors in one file of safetensors. */
  public long shardLimit() {
    return shardSize.orElse(WriterOptions.DEFAULT_SHARD_LIMIT);
  }

  /** The same with the name of the original. */
  public Publication withBaseModel(String name) {
    return new Publication(Optional.of(name), shardSize, facts, weightFile);
  }

  /** The same with other shards. */
  public Publication withShardLimit(long bytes) {
    return new Publication(baseModel, OptionalLong.of(bytes), facts, weightFile);
  }

  /** The same with other facts. */
  public Publication withFacts(ImmutableMap<String, String> other) {
    return new Publication(baseModel, shardSize, other, weightFile);
  }

  /** The same with a file that programs are given. */
  Publication withWeightFile(String name) {
    return new Publication(baseModel, shardSize, facts, Optional.of(name));
  }
}
