/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Definitions of chardevs, long and short; a row is a thing somebody types. */
#include "chardev/chardev.h"

#include "tap.h"

static const struct bad_case {
    bool is_short;
    const char *text;
    const char *words; /* the message has them */
} bad_cases[] = {
    { false, "", "backend" },
    { false, "null", "id=" },
    { false, "null,id=", "id=" },
    { false, "id=x", "kind" },
    { false, "nul,id=x", "'null'" },
    { false, "null,id=x,path=/a", "'path'" },
    { false, "null,id=x,mux=maybe", "mux" },
    { false, "file,id=x", "path=" },
    { false, "file,id=x,path=", "path=" },
    { false, "file,id=x,path=/nonexistent/a", "/nonexistent/a" },
    { false, "file,id=x,path=/dev/null,append=so", "append" },
    { false, "stdio,id=x,signal=1", "signal" },
    { false, "socket,id=x", "path=" },
    { false, "socket,id=x,host=localhost", "port=" },
    { false, "socket,id=x,path=/a,port=1", "one of" },
    { false, "socket,id=x,port=http", "port" },
    { false, "socket,id=x,port=65536", "65536" },
    { false, "socket,id=x,fd=99999", "99999" },
    { false, "socket,id=x,fd=-1", "fd" },
    { false, "socket,id=x,path=/a,server=on,reconnect=1", "reconnect" },
    { false, "socket,id=x,path=/a,telnet=on", "telnet" },
    { false, "socket,id=x,path=/a,wait=on", "wait" },
    { false, "socket,id=x,path=/a,severr=on", "'server'" },
    { false, "socket,id=x,path=/nonexistent/a", "/nonexistent/a" },
    { false, "socket,id=x,server=on,wait=off,path=/nonexistent/a", "/nonexistent/a" },
    { true, "", "character device" },
    { true, "fil:/tmp/x", "file:" },
    { true, "stdoi", "'stdio'" },
    { true, "chardev:nobody", "nobody" },
    { true, "file:", "path=" },
    { true, "unix:", "unix:" },
    { true, "tcp:localhost", "HOST:PORT" },
    { true, "tcp::99999,server,nowait", "99999" },
    { true, "mon:nothing", "nothing" },
};

static struct chardev *make(bool is_short, const char *text, GError **error)
{
    return is_short ? chardev_new_short("x", text, error) : chardev_new(text, error);
}

static void test_bad(const struct bad_case *row)
{
    g_autoptr(GError) error = NULL;
    bool made = make(row->is_short, row->text, &error);

    if (!tap_ok(!made && strstr(error->message, row->words) && !strchr(error->message, '\n'),
                "%s '%s' is refused", row->is_short ? "-serial" : "-chardev", row->text))
        tap_note("%s", made ? "it was not" : error->message);
    tap_ok(!chardev_find("x"), "and nothing is left of it");
}

static const struct {
    bool is_short;
    const char *text;
} good_cases[] = {
    { false, "null,id=x" },
    { false, "backend=null,id=x,mux=on" },
    { false, "file,id=x,path=/dev/null" },
    { false, "file,id=x,path=/dev/null,append=on" },
    { false, "socket,id=x,host=127.0.0.1,port=0,server=on,wait=off" },
    { false, "socket,id=x,port=0,server=on,wait=off,nodelay=on" },
    { true, "null" },
    { true, "vc" },
    { true, "vc:80Cx24C" },
    { true, "file:/dev/null" },
    { true, "tcp:127.0.0.1:0,server,nowait" },
    { true, "tcp::0,server=on,wait=off" },
    { true, "mon:null" },
};

int main(void)
{
    g_autoptr(GError) error = NULL;

    for (size_t i = 0; i < G_N_ELEMENTS(bad_cases); i++)
        test_bad(&bad_cases[i]);
    for (size_t i = 0; i < G_N_ELEMENTS(good_cases); i++) {
        g_clear_error(&error);
        struct chardev *chardev = make(good_cases[i].is_short, good_cases[i].text, &error);
        if (!tap_ok(chardev && chardev == chardev_find("x"), "'%s'", good_cases[i].text) && error)
            tap_note("%s", error->message);
        chardevs_close_all();
    }
    chardev_new("null,id=x", NULL);
    tap_ok(chardev_new_short("y", "chardev:x", NULL) == chardev_find("x"), "chardev:ID finds it");
    g_clear_error(&error);
    tap_ok(!chardev_new("null,id=x", &error) && strstr(error->message, "'x'"),
           "an id is used once");
    chardevs_close_all();
    return tap_done();
}
