/* SPDX-License-Identifier: MIT */
/* walk.c - finds the files. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "complain.h"
#include "memory.h"
#include "stages.h"

/* Folders still to be entered: a list instead of recursion, for a routine's stack is small. */
struct folders {
    char **path;
    size_t n, capacity;
};

static void add_folder(struct folders *folders, char *path)
{
    if (folders->n == folders->capacity) {
        folders->capacity = 2 * folders->capacity + 16;
        folders->path = must(weft_realloc(folders->path, folders->capacity * sizeof *folders->path));
    }
    folders->path[folders->n++] = path;
}

static char *join(const char *folder, const char *name)
{
    size_t length = strlen(folder);
    return must(weft_sprintf("%s%s%s", folder, length > 0 && folder[length - 1] != '/' ? "/" : "", name));
}

/* 0 or a negative errno. Not inlined: see complain.h. */
static __attribute__((noinline)) int open_folder(const char *path, DIR **ret_folder)
{
    DIR *folder = opendir(path);
    if (folder == NULL)
        return -errno;
    *ret_folder = folder;
    return 0;
}

/* NULL at the end of the folder. */
static __attribute__((noinline)) int next_entry(DIR *folder, struct dirent **ret_entry)
{
    errno = 0;
    *ret_entry = readdir(folder);
    return -errno;
}

/* The type of what `path` names, of what it points to if `follow`; or a negative errno. */
static __attribute__((noinline)) int type_of(const char *path, bool follow)
{
    struct stat info;
    if (fstatat(AT_FDCWD, path, &info, follow ? 0 : AT_SYMLINK_NOFOLLOW) != 0)
        return -errno;
    return (int)(info.st_mode & S_IFMT);
}

static bool left_out(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || strcmp(name, ".git") == 0 || strcmp(name, "build") == 0;
}

static void enter_folder(char *path, struct folders *folders, weft_chan(char *) files, weft_chan(char *) complaints)
{
    DIR *folder;
    struct dirent *entry;
    int error = open_folder(path, &folder);
    if (error < 0) {
        complain(complaints, "cannot open", path, error);
        return;
    }
    while ((error = next_entry(folder, &entry)) == 0 && entry != NULL) {
        char *found = join(path, entry->d_name);
        int type = entry->d_type == DT_UNKNOWN ? type_of(found, false) : DTTOIF(entry->d_type);
        if (type == S_IFREG)
            weft_chan_send(files, found);
        else if (type == S_IFDIR && !left_out(entry->d_name))
            add_folder(folders, found);
    }
    if (error < 0)
        complain(complaints, "cannot read", path, error);
    closedir(folder);
}

void walk(char *const *paths, size_t n, weft_chan(char *) files, weft_chan(char *) complaints, weft_waitgroup *intake)
{
    struct folders folders = {0};
    for (size_t i = 0; i < n; i++) {
        int type = type_of(paths[i], true);
        if (type < 0)
            complain(complaints, "cannot open", paths[i], type);
        else if (type == S_IFDIR)
            add_folder(&folders, join(paths[i], ""));
        else
            weft_chan_send(files, join("", paths[i]));

        while (folders.n > 0)
            enter_folder(folders.path[--folders.n], &folders, files, complaints);
    }
    weft_chan_close(files);
    weft_waitgroup_done(intake);
}
