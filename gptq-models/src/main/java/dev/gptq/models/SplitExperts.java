package dev.gptq.models;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import com.google.common.collect.ImmutableSet;
import dev.gptq.formats.BadInputException;
import dev.gptq.formats.codec.Float8;
import dev.gptq.formats.codec.Mxfp4;
import dev.gptq.formats.codec.Numbers;
import dev.gptq.formats.codec.Slices;
import dev.gptq.formats.codec.Sources;
import dev.gptq.formats.safetensors.Checkpoint;
import dev.gptq.formats.safetensors.StoredTensor;
import dev.gptq.formats.safetensors.StoredType;
import dev.gptq.models.family.BlockSpec;
import dev.gptq.models.family.DecoderSpec;
import dev.gptq.models.family.FusedSpec;
import dev.gptq.models.family.LinearSpec;
import dev.gptq.models.family.Parameters;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/**
 * Shows a checkpoint as its description names it: tensors that hold the weights of all experts as
 * one matrix for each layer of each expert, out × in, and float64 as float32. Whoever reads or
 * copies tensors then needs not know how they are stored. Where the sizes of a matrix fit only the
 * other way round, it is that way round: some families were saved both ways. What is split is not
 * seen whole any more.
 */
final class SplitExperts {
  private static final String BLOCKS = "_blocks";
  private static final String SCALES = "_scales";

  private final Checkpoint checkpoint;
  private final Sources sources;
  private final Map<String, StoredTensor> parts = new LinkedHashMap<>();
  private final Set<String> split = new HashSet<>();

  private SplitExperts(Checkpoint checkpoint, Sources sources) {
    this.checkpoint = checkpoint;
    this.sources = sources;
  }

  static Checkpoint of(Checkpoint checkpoint, DecoderSpec spec, Sources sources) {
    SplitExperts view = new SplitExperts(checkpoint, sources);
    for (BlockSpec block : spec.blocks()) {
      block
          .linears()
          .filter(linear -> linear.fused().isPresent())
          .forEach(linear -> view.add(block, linear, linear.fused().get()));
    }
    for (String name : Parameters.of(spec).tensors().keySet()) {
      checkpoint
          .find(name)
          .filter(stored -> stored.type() == StoredType.F64)
          .ifPresent(stored -> view.parts.put(name, Numbers.narrowed(stored)));
    }
    return view.seen();
  }

  /** The modules whose weights are in tensors of MXFP4 of all experts. */
  static ImmutableSet<String> inMxfp4(Checkpoint checkpoint, DecoderSpec spec) {
    ImmutableSet.Builder<String> modules = ImmutableSet.builder();
    for (BlockSpec block : spec.blocks()) {
      block
          .linears()
          .filter(linear -> linear.fused().isPresent())
          .filter(linear -> {
            String whole = block.prefix() + linear.fused().get().tensor();
            return checkpoint.find(whole + BLOCKS).isPresent();
          })
          .forEach(linear -> modules.add(block.nameOf(linear)));
    }
    return modules.build();
  }

  private Checkpoint seen() {
    if (parts.isEmpty()) {
      return checkpoint;
    }
    Map<String, StoredTensor> tensors = new LinkedHashMap<>();
    for (String name : checkpoint.names()) {
      if (!split.contains(name)) {
        tensors.put(name, checkpoint.require(name));
      }
    }
    tensors.putAll(parts);
    return checkpoint.seenAs(ImmutableMap.copyOf(tensors));
  }

  private void add(BlockSpec block, LinearSpec linear, FusedSpec fused) {
    String name = block.nameOf(linear);
    String whole = block.prefix() + fused.tensor();
    if (checkpoint.find(name + ".weight").isPresent()) {
      return;
    }
    Optional<StoredTensor> matrix = weight(whole, linear, fused);
    if (matrix.isEmpty()) {
      return;
    }
    parts.put(name + ".weight", Slices.renamed(matrix.get(), name + ".weight"));
    if (linear.bias()) {
      String biases = whole + "_bias";
      StoredTensor stored = checkpoint.require(biases);
      split.add(biases);
      StoredTensor ofExpert = expert(stored, fused, 2, linear);
      requireSize(stored, ofExpert.shape().getFirst(), linear.outputs(), fused.layers());
      parts.put(name + ".bias", Slices.renamed(outputs(ofExpert, linear, fused), name + ".bias"));
    }
  }

  /** The weight of one layer of one expert, outputs × inputs, if the fused tensor is there. */
  private Optional<StoredTensor> weight(String whole, LinearSpec linear, FusedSpec fused) {
    Optional<StoredTensor> blocks = checkpoint.find(whole + BLOCKS);
    if (blocks.isPresent()) {
      StoredTensor scales = checkpoint.require(whole + SCALES);
      split.add(whole + BLOCKS);
      split.add(whole + SCALES);
      StoredTensor codes = expert(blocks.get(), fused, 4, linear);
      requireSize(blocks.get(), codes.shape().getFirst(), linear.outputs(), fused.layers());
      // Rows are outputs, whatever the order of the matrices that are not in MXFP4.
      return Optional.of(
          Mxfp4.decode(
              whole,
              outputs(codes, linear, fused),
              outputs(expert(scales, fused, 3, linear), linear, fused)));
    }
    return checkpoint.find(whole).map(stored -> plain(stored, linear, fused));
  }

  private StoredTensor plain(StoredTensor stored, LinearSpec linear, FusedSpec fused) {
    split.add(stored.name());
    StoredTensor matrix = expert(stored, fused, 3, linear);
    if (Float8.is(stored)) {
      Optional<StoredTensor> scale = Sources.scale(checkpoint, stored.name());
      scale.map(StoredTensor::name).ifPresent(split::add);
      split.addAll(Sources.activationScales(stored.name()));
      matrix = sources.matrix(matrix, scale.map(s -> scaleOf(s, fused)));
    }
    boolean turned = fused.storage() == LinearSpec.Storage.IN_OUT;
    if (!isOf(matrix, linear, fused, turned) && isOf(matrix, linear, fused, !turned)) {
      turned = !turned;
    }
    StoredTensor byOutputs = turned ? Slices.transposed(matrix) : matrix;
    requireSize(stored, byOutputs.shape().getFirst(), linear.outputs(), fused.layers());
    requireSize(stored, byOutputs.shape().getLast(), linear.inputs(), 1);
    return outputs(byOutputs, linear, fused);
  }

  /** Whether a matrix has the sizes of outputs and inputs, perhaps in the other order. */
  private static boolean isOf(
      StoredTensor matrix, LinearSpec linear, FusedSpec fused, boolean turned) {
    long outputs = turned ? matrix.shape().getLast() : matrix.shape().getFirst();
    long inputs = turned ? matrix.shape().getFirst() : matrix.shape().getLast();
    return outputs == (long) linear.outputs() * fused.layers() && inputs == linear.inputs();
  }

  /** The scale of an expert; one for all is a number. */
  private static StoredTensor scaleOf(StoredTensor scale, FusedSpec fused) {
    return scale.elements() == 1 ? scale : Slices.part(scale, fused.expert());
  }

  private static StoredTensor outputs(StoredTensor rows, LinearSpec linear, FusedSpec fused) {
    return Slices.rows(rows, fused.first(linear.outputs()), fused.step(), linear.outputs());
  }

  private static StoredTensor expert(
      StoredTensor stored, FusedSpec fused, int dimensions, LinearSpec linear) {
    ImmutableList<Long> shape = stored.shape();
    if (shape.size() != dimensions || shape.getFirst() <= fused.expert()) {
      throw new BadInputException(
          "%s: tensor %s should have %d dimensions and hold %s; is config.json of another model?"
              .formatted(stored.file(), stored.describe(), dimensions, linear.module()));
    }
    return Slices.part(stored, fused.expert());
  }

  private static void requireSize(StoredTensor stored, long found, int features, int layers) {
    if (found != (long) features * layers) {
      throw new BadInputException(
          "%s: tensor %s has %d where config.json makes it %d x %d; is one of the two of another"
                  .formatted(stored.file(), stored.describe(), found, layers, features)
              + " model?");
    }
  }
}
