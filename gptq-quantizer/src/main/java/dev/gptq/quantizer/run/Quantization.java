package dev.gptq.quantizer.run;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import dev.gptq.backend.Backend;
import dev.gptq.grid.GridSpec;
import dev.gptq.grid.Scheme;
import dev.gptq.models.Model;
import dev.gptq.models.text.TokenStream;
import dev.gptq.models.tokenizer.Tokenizer;
import dev.gptq.quantize.GptqOptions;
import dev.gptq.quantizer.export.Publication;
import dev.gptq.quantizer.gguf.Ends;
import dev.gptq.quantizer.gguf.GgufFormat;
import dev.gptq.quantizer.gguf.ImportanceMatrix;
import dev.gptq.quantizer.gguf.Mixture;
import dev.gptq.quantizer.pipeline.Curvature;
import dev.gptq.quantizer.pipeline.HiddenStates;
import dev.gptq.quantizer.pipeline.Quality;
import dev.gptq.quantizer.pipeline.QuantizationSettings;
import dev.gptq.quantizer.pipeline.QuantizationSettings.Method;
import dev.gptq.quantizer.pipeline.Waiting;
import dev.gptq.quantizer.store.OutputLocks;
import dev.gptq.quantizer.tune.Tuning;
import dev.gptq.quantizer.tune.TuningText;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.function.Consumer;
import java.util.function.Predicate;

/**
 * A quantization from checkpoint to checkpoint, put together step by step:
 *
 * <pre>{@code
 * Quantization.of(Path.of("Llama-3.2-1B"))
 *     .bits(4)
 *     .groupSize(128)
 *     .calibration(Calibration.of(Path.of("my.jsonl")))
 *     .on(backend)
 *     .to(Path.of("Llama-3.2-1B-w4"))
 *     .run(QuantizationListener.NONE);
 * }</pre>
 *
 * <p>The same model, text, settings and backend give the same bytes. An interrupted run leaves its
 * finished blocks beside the output, and the same quantization goes on from there.
 */
public final class Quantization {
  private final Path model;
  private int bits = 4;
  private int groupSize = 128;
  private Scheme scheme = Scheme.SYMMETRIC;
  private Quality quality = Quality.STANDARD;
  private Optional<QuantizationSettings> settings = Optional.empty();
  private Optional<Curvature> curvature = Optional.empty();
  private Optional<Calibration> calibration = Optional.empty();
  private Optional<ImmutableList<int[]>> windows = Optional.empty();
  private ImmutableList<int[]> furtherWindows = ImmutableList.of();
  private OptionalInt expertTokens = OptionalInt.empty();
  private Optional<String> format = Optional.empty();
  private Optional<String> usualFormat = Optional.empty();
  private Optional<Ends> ends = Optional.empty();
  private Optional<Mixture> mixture = Optional.empty();
  private boolean pure;
  private Optional<Path> importance = Optional.empty();
  private Optional<Path> writtenImportance = Optional.empty();
  private Optional<Observing> observing = Optional.empty();
  private Optional<Path> output = Optional.empty();
  private Optional<Backend> backend = Optional.empty();
  private Publication publication = Publication.DEFAULT;
  private boolean overwrite;
  private boolean resume = true;
  private KeptStates keptStates = KeptStates.AUTO;
  private Optional<HiddenStates> hiddenStates = Optional.empty();
  private boolean classicLog;
  private boolean fittingGroups;
  private OptionalInt scaleBits = OptionalInt.empty();
  private Optional<Tuning> tuning = Optional.empty();
  private ImmutableList<Path> tuningText = ImmutableList.of();

  private Quantization(Path model) {
    this.model = model;
  }

  /** A quantization of the model in a folder: 4 bits, symmetric, groups of 128. */
  public static Quantization of(Path model) {
    return new Quantization(model);
  }

  /** Bits of a weight, 2 to 8. */
  public Quantization bits(int number) {
    bits = number;
    return this;
  }

  /** Weights that share a scale; {@link GptqOptions#PER_ROW} for whole rows. */
  public Quantization groupSize(int weights) {
    groupSize = weights;
    return this;
  }

  /**
   * Takes the largest group size of 128, 64 and 32 that divides the inputs of all modules, or whole
   * rows where none does, in place of the one of the settings.
   */
  public Quantization fittingGroups() {
    fittingGroups = true;
    return this;
  }

  /** The grid: symmetric or with zero points. */
  public Quantization scheme(Scheme grid) {
    scheme = grid;
    return this;
  }

  /**
   * Significant bits of a scale, up to {@link GridSpec#ALL_SCALE_BITS} for all that float16 has, in
   * place of those with which scales survive float16 and bfloat16 in all formats of the run. What
   * the grid of the settings says of it is not used: it is for measuring without a format.
   */
  public Quantization scaleBits(int number) {
    scaleBits = OptionalInt.of(number);
    return this;
  }

  /** What is done beyond plain GPTQ. */
  public Quantization quality(Quality preset) {
    quality = preset;
    return this;
  }

  /** Everything about the algorithm at once, in place of bits, group size and scheme. */
  public Quantization settings(QuantizationSettings all) {
    settings = Optional.of(all);
    return this;
  }

  /**
   * What is taken into account of how much errors cost, in place of what the settings say. Unlike
   * those it is refused where the model cannot have it.
   */
  public Quantization curvature(Curvature kind) {
    curvature = Optional.of(kind);
    return this;
  }

  /** The text that GPTQ sees; rounding to nearest needs none. */
  public Quantization calibration(Calibration text) {
    calibration = Optional.of(text);
    return this;
  }

  /** Windows of tokens in place of a text. */
  public Quantization windows(ImmutableList<int[]> tokens) {
    windows = Optional.of(tokens);
    return this;
  }

  /**
   * Windows that may be taken too where {@link #expertTokens} asks for more than the first have.
   */
  public Quantization furtherWindows(ImmutableList<int[]> tokens) {
    furtherWindows = tokens;
    return this;
  }

  /**
   * Goes on sampling until every expert of a mixture has seen that many tokens, up to {@value
   * ExpertWindows#MOST} times the windows that were asked for or all of the text; those that have
   * not are told to the listener at the end.
   */
  public Quantization expertTokens(int least) {
    expertTokens = OptionalInt.of(least);
    return this;
  }

  /** The type of embedding and output layer in a GGUF file. */
  public Quantization ends(Ends type) {
    ends = Optional.of(type);
    return this;
  }

  /**
   * Writes a GGUF file whose modules have the types of a mixture of llama.cpp, in place of the grid
   * and the groups of the settings, and whose embedding and output layer have 6 bits unless {@link
   * #ends} says something else.
   */
  public Quantization mixture(Mixture types) {
    mixture = Optional.of(types);
    return this;
  }

  /**
   * Takes what errors cost from an importance matrix of llama.cpp, in place of a calibration text:
   * scales are fitted for it, and codes are the nearest.
   */
  public Quantization importance(Path file) {
    importance = Optional.of(file);
    return this;
  }

  /** Also writes an importance matrix, the mean squares of inputs that were calibrated with. */
  public Quantization writeImportance(Path file) {
    writtenImportance = Optional.of(file);
    return this;
  }

  /** Gives all modules the type that most of a mixture have, and keeps embedding and output. */
  public Quantization pure(boolean wanted) {
    pure = wanted;
    return this;
  }

  /**
   * Names of the formats to write, separated by commas. If not given, {@code gptq} where all that
   * read it run the model, and else {@code compressed-tensors}.
   */
  public Quantization format(String name) {
    format = Optional.of(name);
    return this;
  }

  /** What the card of the checkpoint says of it, and how large its files are. */
  public Quantization publication(Publication what) {
    publication = what;
    return this;
  }

  /** Gives some modules more bytes than the others. */
  public Quantization observing(Observing how) {
    observing = Optional.of(how);
    return this;
  }

  /**
   * Tunes codes and scales of the whole model once it is quantized, as {@link Quality#MAX} does;
   * unlike there it is refused where the model cannot be tuned.
   */
  public Quantization tuning(Tuning how) {
    tuning = Optional.of(how);
    return this;
  }

  /** What is tuned with, in place of the calibration text. */
  public Quantization tuningText(ImmutableList<Path> files) {
    tuningText = files;
    return this;
  }

  /** Whether an existing output folder may be replaced. */
  public Quantization overwrite(boolean allowed) {
    overwrite = allowed;
    return this;
  }

  /** Whether to go on from the finished blocks of an interrupted run. */
  public Quantization resume(boolean allowed) {
    resume = allowed;
    return this;
  }

  /**
   * Whether the newest hidden states are kept, so that going on does not repeat finished blocks.
   */
  public Quantization keepStates(KeptStates when) {
    keptStates = when;
    return this;
  }

  /** Where hidden states lie while no block works on them, in place of where there is room. */
  public Quantization hiddenStates(HiddenStates where) {
    hiddenStates = Optional.of(where);
    return this;
  }

  /** Whether to write the log in the lines of GPTQ-for-LLaMa too. */
  public Quantization classicLog(boolean wanted) {
    classicLog = wanted;
    return this;
  }

  /** The backend that computes; the caller closes it. */
  public Quantization on(Backend computes) {
    backend = Optional.of(computes);
    return this;
  }

  /** The folder to write. */
  public Quantization to(Path folder) {
    output = Optional.of(folder);
    return this;
  }

  /**
   * Opens the model, checks what can be known to be wrong before the work begins, and draws the
   * windows of the calibration text. Needs no backend and writes nothing.
   *
   * @throws dev.gptq.formats.BadInputException if model or text cannot be used
   * @throws RequestException if the settings contradict each other
   */
  public QuantizationPlan plan() throws IOException {
    return plan(false);
  }

  /**
   * {@link #plan}, with the output locked before the text is read: who waits for a large text need
   * not fear that the output is taken by then.
   *
   * @throws dev.gptq.formats.BadInputException also if another process is writing the output
   */
  public QuantizationPlan lockedPlan() throws IOException {
    return plan(true);
  }

  private QuantizationPlan plan(boolean lock) throws IOException {
    try (ExecutorService beside = Executors.newCachedThreadPool()) {
      return plan(lock, beside);
    }
  }

  /**
   * The same.
   *
   * @param beside for what need not wait for the plan, nor the plan for it until its end
   */
  private QuantizationPlan plan(boolean lock, ExecutorService beside) throws IOException {
    if (calibration.isPresent()) {
      beside.execute(Tokenizer::prepare);
    }
    QuantizationSettings asked = asStored(onBlocks(settings.orElseGet(this::preset)));
    RunRequest request = request(asked);
    Model opened = Model.open(model);
    Optional<OutputLocks> locks = Optional.empty();
    boolean planned = false;
    try {
      ImmutableList.Builder<String> notes = ImmutableList.builder();
      QuantizationSettings chosen = asked;
      observing =
          observing.map(how -> BudgetChoice.of(how, opened.spec(), asked.target(), notes::add));
      request = request(asked);
      if (asked.method() == Method.GPTQ) {
        chosen =
            asked.withCurvature(
                CurvatureChoice.of(
                    opened.spec(), curvature, presetCurvature(asked, notes::add), notes::add));
        request = request(chosen);
      }
      if (fittingGroups && mixture.isEmpty()) {
        chosen =
            chosen.withOptions(
                chosen
                    .options()
                    .withGroupSize(GroupSizes.fitting(opened.spec(), chosen.selection())));
        request = request(chosen);
        notes.add(GroupSizes.choice(chosen.options().groupSize()));
      }
      if (mixture.isPresent()) {
        chosen = chosen.withTypes(mixture.get().types(opened, chosen.selection(), pure));
        request = request(chosen);
        notes.add(TypeNotes.of(mixture.get(), chosen.types()));
      }
      if (importance.isPresent()) {
        chosen =
            chosen.withImportance(
                ImportanceMatrix.read(importance.get(), opened, chosen.selection()));
        request = request(chosen);
      }
      if (format.isEmpty()) {
        usualFormat =
            Optional.of(CheckpointFormats.usual(opened, chosen, observing.isPresent(), notes::add));
        chosen = asStored(chosen);
        request = request(chosen);
      }
      Optional<Tuning> wanted =
          PlannedTuning.choice(
              opened.spec(),
              chosen,
              tuning,
              quality.tunes() && chosen.method() == Method.GPTQ && importance.isEmpty(),
              notes::add);
      if (wanted.isEmpty() && !tuningText.isEmpty()) {
        throw new RequestException(
            "--tune-text is what is tuned with; add --tune or --quality max");
      }
      request = request(chosen, wanted);
      new QuantizationChecks(opened, request).check();
      Predicate<String> quantized = chosen.selection();
      Future<?> numbers = beside.submit(() -> FiniteTensors.require(opened, quantized));
      if (lock) {
        locks = Optional.of(OutputLocks.acquire(request.places()));
      }
      Consumer<String> warnings = warning -> notes.add("warning: " + warning);
      Drawn drawn = windows(opened, chosen, notes::add, warnings);
      PlanNotes.of(opened, request, drawn.first()).forEach(warnings);
      Waiting.waitFor(numbers, "the tensors that stay as they are were being read");
      QuantizationPlan plan =
          new QuantizationPlan(
              opened,
              request,
              drawn.first(),
              drawn.further(),
              planned(opened, chosen, wanted, drawn, warnings),
              notes.build(),
              curvature.isEmpty(),
              locks);
      planned = true;
      return plan;
    } finally {
      if (!planned) {
        // Nothing may read a model that is closed.
        beside.close();
        try (Model _ = opened) {
          if (locks.isPresent()) {
            locks.get().close();
          }
        }
      }
    }
  }

  /** That of the preset, as far as what else is asked for goes with it. */
  private Curvature presetCurvature(QuantizationSettings asked, Consumer<String> notes) {
    if (importance.isPresent()) {
      return Curvature.INPUTS;
    }
    if (observing.isEmpty() || observing.get().isForeseen()) {
      return asked.curvature();
    }
    if (curvature.map(Curvature::needsGradients).orElse(false)) {
      throw new RequestException(
          "layers are observed one by one, by the curvature of their inputs; leave out --curvature "
              + curvature.get().id());
    }
    if (asked.curvature().needsGradients()) {
      notes.accept("layers are observed one by one: curvature of the inputs only");
    }
    return Curvature.INPUTS;
  }

  private QuantizationSettings onBlocks(QuantizationSettings asked) {
    return mixture
        .map(types -> asked.withOptions(asked.options().withBlocks(types.base())))
        .orElse(asked);
  }

  private QuantizationSettings asStored(QuantizationSettings asked) {
    return asked.withOptions(
        CheckpointFormats.stored(asked.options(), format.or(() -> usualFormat), gguf(), scaleBits));
  }

  private GgufFormat gguf() {
    Ends usual = mixture.isPresent() && !pure ? Ends.Q6_K : Ends.KEEP;
    return new GgufFormat(
        ends.orElse(usual),
        pure ? Optional.empty() : mixture,
        mixture.map(types -> pure ? types.base().name() : types.name()));
  }

  private RunRequest request(QuantizationSettings chosen) {
    return request(chosen, Optional.empty());
  }

  private RunRequest request(QuantizationSettings chosen, Optional<Tuning> tuned) {
    return new RunRequest(
        chosen,
        CheckpointFormats.of(
            chosen,
            format.or(() -> usualFormat),
            gguf(),
            publication.withFacts(facts(chosen, tuned))),
        output.orElseThrow(() -> new RequestException("say where to write the checkpoint")),
        overwrite,
        resume,
        keptStates,
        hiddenStates,
        observing,
        expertTokens,
        classicLog,
        tuned,
        writtenImportance);
  }

  private ImmutableMap<String, String> facts(QuantizationSettings chosen, Optional<Tuning> tuned) {
    ImmutableMap.Builder<String, String> facts = ImmutableMap.builder();
    facts.put("method", chosen.method() == Method.GPTQ ? "GPTQ" : "rounding to nearest");
    if (chosen.needsText() && calibration.isPresent()) {
      facts.put("calibration", calibration.get().summary(quality.samples()));
    }
    tuned.ifPresent(
        how -> facts.put("tuning", "end to end, at most %d steps".formatted(how.steps())));
    return facts.buildOrThrow();
  }

  /** Plans and carries it out. */
  public QuantizationSummary run(QuantizationListener listener) throws IOException {
    Backend computes =
        backend.orElseThrow(() -> new RequestException("say which backend is to compute"));
    try (QuantizationPlan plan = lockedPlan()) {
      return plan.run(computes, listener);
    }
  }

  private QuantizationSettings preset() {
    return QuantizationSettings.of(
            Method.GPTQ, quality.apply(GptqOptions.of(GridSpec.of(scheme, bits), groupSize)))
        .withTarget(quality.target())
        .withCurvature(quality.curvature());
  }

  /** The tuning with its windows. */
  private Optional<PlannedTuning> planned(
      Model opened,
      QuantizationSettings chosen,
      Optional<Tuning> wanted,
      Drawn drawn,
      Consumer<String> warnings)
      throws IOException {
    if (wanted.isEmpty()) {
      return Optional.empty();
    }
    return Optional.of(
        new PlannedTuning(
            opened,
            chosen,
            wanted.get(),
            text(opened, wanted.get(), drawn, warnings),
            hiddenStates));
  }

  private TuningText text(Model opened, Tuning how, Drawn drawn, Consumer<String> warnings)
      throws IOException {
    int length = drawn.first().getFirst().length;
    if (!tuningText.isEmpty()) {
      return calibration
          .orElseGet(() -> Calibration.of(tuningText.getFirst()))
          .withFiles(tuningText)
          .tuningText(opened, length, how, warnings);
    }
    if (windows.isEmpty()) {
      return calibration.orElseThrow().tuningText(opened, length, how, warnings);
    }
    if (windows.get().size() < 2) {
      throw new RequestException("tuning holds out a tenth of its windows and needs at least two");
    }
    return Calibration.withChats(opened, how, TuningText.of(windows.get()));
  }

  /** Windows that are taken, and those that may be. */
  private record Drawn(ImmutableList<int[]> first, ImmutableList<int[]> further) {}

  private Drawn windows(
      Model opened, QuantizationSettings chosen, Consumer<String> notes, Consumer<String> warnings)
      throws IOException {
    if (!chosen.needsText()) {
      return new Drawn(ImmutableList.of(), ImmutableList.of());
    }
    if (windows.isPresent()) {
      return new Drawn(windows.get(), furtherWindows);
    }
    Calibration text = calibration.orElseThrow(Calibration::missing);
    TokenStream stream = text.stream(opened, warnings);
    stream
        .beginning()
        .ifPresent(bos -> notes.accept("each window begins with '%s'".formatted(bos)));
    ImmutableList<int[]> first =
        text.draws(stream, opened, quality.samples(), 1, warnings).getFirst();
    return new Drawn(
        first,
        expertTokens.isPresent()
            ? text.further(stream, first, ExpertWindows.MOST)
            : ImmutableList.of());
  }
}
