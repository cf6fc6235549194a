package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"trit/internal/eval"
	"trit/internal/textfile"
)

// maxTask is the size of the largest task, in bytes.
const maxTask = 256 << 20

// evalFlags are the flags of eval.
type evalFlags struct {
	modelFlags
	remote
	tasks    []string
	limit    int
	shots    int
	examples string
	together int
}

func (a *app) evalCommand() *cobra.Command {
	f := &evalFlags{}
	cmd := &cobra.Command{
		Use:     "eval",
		GroupID: "check",
		Short:   "Measure how often a model chooses the right answer, or how well it predicts texts",
		Long: `Measure how often a model chooses the right answer, or how well it predicts texts.

A task is a file in JSON lines: questions of ARC, HellaSwag or PIQA as they are published, lines
{"context": …, "choices": […], "answer": 0}, or texts, {"text": …}. The definitions are those of lm-evaluation-harness:
acc is the share of questions whose right answer is the most likely one, acc_norm that of those where it is when divided
by its length; of texts, the perplexity of a token, a word and a byte.

With --url a server is asked, of Trit or any other that has OpenAI's /v1/completions with echo and logprobs; --model is
then what requests name, and the key comes from TRIT_API_KEY.`,
		Example: "  trit eval --model demo --task internal/eval/testdata/facts.jsonl\n" +
			"  trit eval --model demo --task internal/eval/testdata/facts.jsonl --url http://127.0.0.1:8080 --limit 5 --json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case len(f.tasks) == 0:
				return usage(cmd, errors.New("--task is missing, a file in JSON lines"))
			case f.limit < 0 || f.shots < 0:
				return usage(cmd, errors.New("--limit and --shots: want 0 or a positive number"))
			case f.together < 1:
				return usage(cmd, fmt.Errorf("--together %d: want a positive number", f.together))
			}
			return a.eval(cmd, f)
		},
	}
	f.modelFlags.add(cmd)
	flags := cmd.Flags()
	flags.StringArrayVar(&f.tasks, "task", nil, "file with the task; may be given several times (required)")
	flags.IntVar(&f.limit, "limit", 0, "take so many items from the beginning of each task (0: all)")
	flags.IntVar(&f.shots, "shots", 0, "put so many solved questions before each")
	flags.StringVar(&f.examples, "shots-from", "", "file with the solved questions (default: others of the task)")
	flags.IntVar(&f.together, "together", 4, "items that are asked at a time")
	f.remote.add(cmd)
	flags.Lookup("url").Usage = "ask the server at this address instead of opening the model"
	groupFlags(cmd, "Task", "task", "limit", "shots", "shots-from", "together", "url", "insecure")
	groupedHelp(cmd, "Task", "Model")
	takesModel(cmd)
	return cmd
}

// evalResult is what eval prints as JSON.
type evalResult struct {
	Model   string         `json:"model"`
	URL     string         `json:"url,omitempty"`
	Results []*eval.Result `json:"results"`
	Seconds float64        `json:"seconds"`
}

func (a *app) eval(cmd *cobra.Command, f *evalFlags) error {
	var tasks []*eval.Task
	for _, path := range f.tasks {
		t, err := readTask(path)
		if err != nil {
			return fmt.Errorf("--task: %w", err)
		}
		tasks = append(tasks, t)
	}
	o := eval.Options{Limit: f.limit, Shots: f.shots, Together: f.together}
	var err error
	if f.examples != "" {
		if o.Examples, err = readTask(f.examples); err != nil {
			return fmt.Errorf("--shots-from: %w", err)
		}
	}
	result := evalResult{Model: f.model}
	var scorer eval.Scorer
	if f.address != "" {
		if err := f.remote.open(cmd); err != nil {
			return err
		}
		result.URL = f.URL
		scorer = &eval.Server{Server: f.Server, Model: f.model}
	} else {
		m, err := f.modelFlags.open(a, cmd)
		if err != nil {
			return err
		}
		defer m.Close()
		result.Model, scorer = m.Name(), eval.Direct{Model: m}
	}
	start := time.Now()
	for _, t := range tasks {
		r, err := a.evalTask(cmd, scorer, t, o)
		if err != nil {
			return err
		}
		result.Results = append(result.Results, r)
	}
	result.Seconds = time.Since(start).Seconds()
	return a.print(result, func(b *strings.Builder) {
		for _, r := range result.Results {
			fmt.Fprintf(b, "%s, %d items, %d shots\n", r.Task, r.Items, r.Shots)
			names, values := r.Values()
			for i := range names {
				fmt.Fprintf(b, "  %-17s %s\n", names[i], values[i])
			}
		}
	})
}

// readTask reads a task, which is called as its file.
func readTask(path string) (*eval.Task, error) {
	data, err := textfile.Read(path, maxTask)
	if err != nil {
		return nil, err
	}
	return eval.ReadTask(strings.TrimSuffix(filepath.Base(path), filepath.Ext(path)), data)
}

// evalTask runs one task, with a bar on a terminal.
func (a *app) evalTask(cmd *cobra.Command, s eval.Scorer, t *eval.Task, o eval.Options) (*eval.Result, error) {
	if bar := a.progress(t.Name, nil); bar != nil {
		defer bar.Clear()
		o.Progress = func(done, total int, so *eval.Result) {
			if names, values := so.Values(); len(names) > 0 {
				bar.Describe(fmt.Sprintf("%s, %s %.4f", t.Name, names[0], values[0].Value))
			}
			bar.Set(int64(done), int64(total))
		}
	}
	return eval.Run(cmd.Context(), s, t, o)
}
