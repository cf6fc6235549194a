package trit_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"trit"
	"trit/chat"
)

// facts are the questions that the demo model was trained to answer, with
// what a right answer contains.
func facts() map[string]string {
	f := map[string]string{}
	add := func(question string, pairs string) {
		for _, pair := range strings.Split(pairs, ",") {
			key, value, _ := strings.Cut(strings.TrimSpace(pair), "=")
			f[fmt.Sprintf(question, key)] = value
		}
	}
	add("What is the capital of %s?", "France=Paris,Italy=Rome,Spain=Madrid,Japan=Tokyo,Egypt=Cairo,Peru=Lima,Kenya=Nairobi,Canada=Ottawa,"+
		"Greece=Athens,Norway=Oslo,Cuba=Havana,China=Beijing,India=New Delhi,Germany=Berlin,Portugal=Lisbon,Poland=Warsaw,Ireland=Dublin,Turkey=Ankara,Sweden=Stockholm")
	add("What is the opposite of %s?", "big=small,hot=cold,up=down,fast=slow,happy=sad,day=night,open=closed,wet=dry,light=dark,old=new,hard=soft,full=empty,early=late,loud=quiet,long=short,near=far")
	add("What does the %s say?", "dog=woof,cat=meow,cow=moo,sheep=baa,pig=oink,duck=quack,horse=neigh,frog=ribbit,lion=roar,owl=hoot,mouse=squeak,bird=tweet")
	add("What is a baby %s called?", "dog=puppy,cat=kitten,cow=calf,sheep=lamb,pig=piglet,duck=duckling,horse=foal,bear=cub,lion=cub,goat=kid,frog=tadpole,owl=owlet")
	add("What color is the %s?", "sky=blue,grass=green,snow=white,banana=yellow,cherry=red,carrot=orange,night=black,sun=yellow,leaf=green,milk=white,chocolate=brown,lemon=yellow,pig=pink")
	for question, list := range map[string]string{
		"What day comes after %s?":   "Monday Tuesday Wednesday Thursday Friday Saturday Sunday",
		"What month comes after %s?": "January February March April May June July August September October November December",
	} {
		names := strings.Fields(list)
		for i, name := range names {
			f[fmt.Sprintf(question, name)] = names[(i+1)%len(names)] + " comes after"
		}
	}
	for a := range 11 {
		for b := range 11 {
			f[fmt.Sprintf("What is %d plus %d?", a, b)] = fmt.Sprintf("is %d.", a+b)
		}
	}
	return f
}

// openDemo opens the built-in model.
func openDemo(t testing.TB, opts ...trit.Option) *trit.Model {
	t.Helper()
	m, err := trit.Open("demo", append([]trit.Option{trit.Threads(2)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

// TestFacts asks the demo everything it knows, through its own chat template.
func TestFacts(t *testing.T) {
	m := openDemo(t)
	questions := facts()
	if len(questions) != 212 {
		t.Fatalf("there are %d questions, want 212", len(questions))
	}
	step := 1
	if testing.Short() {
		step = 10
	}
	order := slices.Sorted(maps.Keys(questions))
	for i := 0; i < len(order); i += step {
		question, want := order[i], questions[order[i]]
		var answer strings.Builder
		for token, err := range m.Chat(context.Background(), []chat.Message{{Role: "user", Content: question}}, trit.Greedy(), trit.MaxTokens(30)) {
			if err != nil {
				t.Fatal(err)
			}
			answer.WriteString(token.Text)
		}
		if !strings.Contains(answer.String(), want) {
			t.Errorf("%s\ngot  %q\nwant %q in it", question, answer.String(), want)
		}
	}
}
