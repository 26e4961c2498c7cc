package dev.gptq.cli.report;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.gptq.quantizer.pipeline.ModuleReport;
import java.io.File;
import java.io.IOException;
import java.net.URLDecoder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** The page with the chart, as text and in a browser. */
final class ErrorPageTest {
  /** Uses the page as a person would and writes down what can be seen. */
  private static final String VISIT =
      """
      <script>
      addEventListener('load', async () => {
        const drawn = () => new Promise((done) => setTimeout(done, 150));
        await drawn();
        const seen = { runs: document.querySelectorAll('.chart canvas').length };
        const picture = () => document.querySelector('.chart canvas').toDataURL();
        const over = document.querySelector('.u-over');
        const place = over.getBoundingClientRect();
        const tip = document.querySelector('.tip');
        for (let y = 5; y < place.height && tip.hidden; y += 10) {
          over.dispatchEvent(new MouseEvent('mousemove', { clientX: place.left + 3, clientY: place.top + y, bubbles: true }));
          await drawn();
        }
        seen.tip = tip.textContent;
        for (const text of ['log axis', 'rounding to nearest, dashed', 'q_proj']) {
          const before = picture();
          [...document.querySelectorAll('.chart label')].find((l) => l.textContent.trim() === text).querySelector('input').click();
          await drawn();
          seen[text] = picture() !== before;
        }
        seen.fits = document.documentElement.scrollWidth <= innerWidth;
        seen.paper = getComputedStyle(document.body).backgroundColor;
        document.body.dataset.seen = encodeURIComponent(JSON.stringify(seen));
      });
      </script>
      """;

  @TempDir private Path folder;

  @Test
  void theNumbersAreInThePageWhateverTheirNames() throws IOException {
    Path page = page();
    String text = Files.readString(page);
    Matcher data =
        Pattern.compile("<script type=\"application/json\">(.*?)</script>").matcher(text);
    assertThat(data.find()).isTrue();
    JsonNode runs = JsonMapper.shared().readTree(data.group(1));
    assertThat(runs.at("/0/name").asString()).isEqualTo("</script><b>3 bits");
    assertThat(runs.at("/0/modules/0/name").asString()).isEqualTo("model.layers.0.q_proj");
    assertThat(runs.at("/0/modules/0/relative").asDouble()).isEqualTo(0.01);
    assertThat(runs.at("/1/modules/0/relative").isNull()).as("unknown").isTrue();
    assertThat(text)
        .contains("The MIT License", "prefers-color-scheme: dark")
        .doesNotContain("src=", "href=", "@import", "url(");
  }

  @Test
  void isUsedInABrowser() throws Exception {
    Optional<Path> browser =
        Stream.of("chromium", "chromium-browser", "google-chrome", "chrome")
            .flatMap(name ->
                Stream.of(System.getenv("PATH").split(File.pathSeparator))
                    .map(folder -> Path.of(folder, name)))
            .filter(Files::isExecutable)
            .findFirst();
    assumeTrue(browser.isPresent(), "there is no chromium, google-chrome or chrome in the PATH");
    Path page = page();
    Files.writeString(page, Files.readString(page).replace("</body>", VISIT + "</body>"));

    JsonNode light = visit(browser.orElseThrow(), page, "--window-size=1280,900");
    assertThat(light.required("runs").asInt()).isEqualTo(2);
    assertThat(light.required("tip").asString())
        .contains("model.layers.0.", "relative error", "4 bits, groups of 128");
    for (String change : List.of("log axis", "rounding to nearest, dashed", "q_proj", "fits")) {
      assertThat(light.required(change).asBoolean()).as(change).isTrue();
    }
    JsonNode dark =
        visit(
            browser.orElseThrow(),
            page,
            "--window-size=500,900",
            "--blink-settings=preferredColorScheme=0");
    assertThat(dark.required("fits").asBoolean()).as("fits where it is narrow").isTrue();
    assertThat(dark.required("paper")).isNotEqualTo(light.required("paper"));
  }

  /** What was seen. */
  private JsonNode visit(Path browser, Path page, String... flags) throws Exception {
    List<String> command =
        new ArrayList<>(
            List.of(
                browser.toString(),
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--user-data-dir=" + folder.resolve("profile"),
                "--virtual-time-budget=20000",
                "--dump-dom"));
    command.addAll(List.of(flags));
    command.add(page.toUri().toString());
    Path dom = folder.resolve("dom.html");
    Process process =
        new ProcessBuilder(command)
            .redirectOutput(dom.toFile())
            .redirectError(folder.resolve("browser.txt").toFile())
            .start();
    assertThat(process.waitFor()).isZero();
    Matcher seen = Pattern.compile("data-seen=\"([^\"]*)\"").matcher(Files.readString(dom));
    assertThat(seen.find()).as("the page was used to the end").isTrue();
    return JsonMapper.shared().readTree(URLDecoder.decode(seen.group(1), StandardCharsets.UTF_8));
  }

  /** Two runs: one that knows all of its modules, and one of which there are errors only. */
  private Path page() throws IOException {
    Map<String, List<LoggedError>> logs = new LinkedHashMap<>();
    List<LoggedError> full = new ArrayList<>();
    List<LoggedError> bare = new ArrayList<>();
    for (int layer = 0; layer < 4; layer++) {
      for (String module : List.of("q_proj", "down_proj")) {
        double error = (layer + 1) * (module.equals("q_proj") ? 0.01 : 0.0004);
        full.add(LoggedError.of(report(layer, module, error)));
        bare.add(new LoggedError(layer, module, error, Double.NaN, Optional.empty()));
      }
    }
    logs.put("</script><b>3 bits", full);
    logs.put("bare", bare);
    HtmlPage page = new HtmlPage("Errors");
    ErrorPages.addChart(page, logs);
    return page.write(folder.resolve("page"));
  }

  private static ModuleReport report(int layer, String module, double error) {
    return new ModuleReport(
        layer,
        module,
        "model.layers." + layer + "." + module,
        128,
        256,
        4,
        128,
        true,
        10 * error,
        error,
        30 * error,
        3 * error,
        0.01,
        1000,
        "",
        0.1);
  }
}
