package dev.gptq.models.tasks;

import com.google.common.base.Splitter;
import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import dev.gptq.formats.BadInputException;
import java.io.IOException;
import java.io.InputStream;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.regex.Pattern;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/**
 * The tasks that are known, read from {@code tasks.json} beside this class. Facts in it (data sets,
 * prompts, what is measured) are those of lm-evaluation-harness.
 */
public final class TaskCatalog {
  private static final String FILE = "tasks.json";

  private final ImmutableMap<String, Task> tasks;
  private final ImmutableMap<String, ImmutableList<String>> groups;

  private TaskCatalog(
      ImmutableMap<String, Task> tasks, ImmutableMap<String, ImmutableList<String>> groups) {
    this.tasks = tasks;
    this.groups = groups;
  }

  /**
   * Tasks under the name that was asked for.
   *
   * @param name of a task or of a group of tasks
   * @param tasks one, or those of the group
   */
  public record Suite(String name, ImmutableList<Task> tasks) {}

  /** The tasks of the harness that come with this program. */
  public static TaskCatalog builtIn() throws IOException {
    try (InputStream in = TaskCatalog.class.getResourceAsStream(FILE)) {
      return new TaskCatalogReader().read(JsonMapper.shared().readTree(in));
    }
  }

  /** Names of all tasks and groups, groups first. */
  public ImmutableList<String> names() {
    return ImmutableList.<String>builder().addAll(groups.keySet()).addAll(tasks.keySet()).build();
  }

  /** The tasks of names with commas between them. */
  public ImmutableList<Suite> suites(String names) {
    ImmutableList.Builder<Suite> suites = ImmutableList.builder();
    for (String name : Splitter.on(',').trimResults().omitEmptyStrings().split(names)) {
      List<String> members =
          groups.getOrDefault(name, tasks.containsKey(name) ? ImmutableList.of(name) : null);
      if (members == null) {
        throw new BadInputException(
            "there is no task '%s'; known are %s"
                .formatted(
                    name,
                    String.join(
                            ", ",
                            names().stream()
                                .filter(known ->
                                    !known.startsWith("mmlu_") || groups.containsKey(known))
                                .toList())
                        + ", and mmlu_SUBJECT"));
      }
      suites.add(
          new Suite(
              name, members.stream().map(tasks::get).collect(ImmutableList.toImmutableList())));
    }
    return suites.build();
  }

  /** Makes tasks of their descriptions. */
  private static final class TaskCatalogReader {
    private final Map<String, Task> tasks = new LinkedHashMap<>();
    private final Map<String, ImmutableList<String>> groups = new LinkedHashMap<>();

    TaskCatalog read(JsonNode file) {
      for (JsonNode each : file) {
        if (each.has("subjects")) {
          subjects(each);
        } else {
          String name = each.get("name").stringValue();
          tasks.put(name, task(each, name, each.get("config").stringValue(), ""));
        }
      }
      return new TaskCatalog(ImmutableMap.copyOf(tasks), ImmutableMap.copyOf(groups));
    }

    private void subjects(JsonNode each) {
      String name = each.get("name").stringValue();
      List<String> all = new ArrayList<>();
      for (Map.Entry<String, JsonNode> group : each.get("subjects").properties()) {
        ImmutableList.Builder<String> members = ImmutableList.builder();
        for (JsonNode node : group.getValue()) {
          String subject = node.stringValue();
          String member = name + "_" + subject;
          String description =
              each.get("description").stringValue().replace("{subject}", subject.replace('_', ' '));
          tasks.put(member, task(each, member, subject, description));
          members.add(member);
        }
        groups.put(name + "_" + group.getKey(), members.build());
        all.addAll(members.build());
      }
      groups.put(name, ImmutableList.copyOf(all));
    }

    private static Task task(JsonNode each, String name, String config, String description) {
      Optional<Task.Examples> examples =
          each.optional("examples")
              .map(e ->
                  new Task.Examples(
                      e.get("split").stringValue(),
                      e.get("usual").intValue(),
                      e.get("drawn").booleanValue()));
      return new Task(
          name,
          each.get("data").stringValue(),
          config,
          each.get("split").stringValue(),
          description,
          examples,
          form(each),
          texts(each.get("metrics")));
    }

    private static Form form(JsonNode each) {
      return switch (each.get("form").stringValue()) {
        case "choice" ->
            new Form.Choice(
                template(each, "context"), choices(each), gold(each), each.has("wikihow"));
        case "blank" ->
            new Form.Blank(each.get("sentence").stringValue(), choices(each), gold(each));
        case "last-word" -> new Form.LastWord(each.get("text").stringValue());
        case "open" ->
            new Form.Open(template(each, "context"), template(each, "answer"), extraction(each));
        default -> throw new IllegalStateException(each.toString());
      };
    }

    private static Template template(JsonNode each, String field) {
      return new Template(each.get(field).stringValue());
    }

    private static Form.Choices choices(JsonNode each) {
      JsonNode choices = each.get("choices");
      return choices.isString()
          ? new Form.Choices(Optional.of(choices.stringValue()), ImmutableList.of())
          : new Form.Choices(
              Optional.empty(),
              texts(choices).stream().map(Template::new).collect(ImmutableList.toImmutableList()));
    }

    private static Form.Gold gold(JsonNode each) {
      JsonNode gold = each.get("gold");
      return new Form.Gold(
          gold.get("field").stringValue(),
          gold.optional("labels").map(JsonNode::stringValue),
          gold.path("first").asInt(0));
    }

    private static Extraction extraction(JsonNode each) {
      ImmutableMap.Builder<String, Extraction.Way> ways = ImmutableMap.builder();
      each.get("ways")
          .properties()
          .forEach(way ->
              ways.put(
                  way.getKey(),
                  new Extraction.Way(
                      pattern(way.getValue().get("pattern")),
                      way.getValue().get("last").booleanValue())));
      ImmutableList.Builder<Pattern> ignored = ImmutableList.builder();
      each.get("ignored").forEach(pattern -> ignored.add(pattern(pattern)));
      return new Extraction(
          texts(each.get("until")),
          each.get("tokens").intValue(),
          ways.buildOrThrow(),
          ignored.build());
    }

    private static Pattern pattern(JsonNode node) {
      return Pattern.compile(node.stringValue(), Pattern.UNIX_LINES);
    }

    private static ImmutableList<String> texts(JsonNode list) {
      ImmutableList.Builder<String> texts = ImmutableList.builder();
      list.forEach(text -> texts.add(text.stringValue()));
      return texts.build();
    }
  }
}
