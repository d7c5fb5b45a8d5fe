/* The least that an extension does to hand out one object for each event: what a loop over events cannot beat.
 *
 * events(stamps) iterates over a buffer of int64 and makes a view (owner, row) for each row. A view keeps its owner
 * alive, as one must that may be kept, and reads its only attribute, `ts`, from the column when it is asked.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>

typedef struct {
    PyObject_HEAD
    Py_buffer stamps;
    Py_ssize_t row, rows;
} Events;

typedef struct {
    PyObject_HEAD
    Events *owner;
    Py_ssize_t row;
} View;

static PyObject *view_ts(PyObject *self, void *Py_UNUSED(closure)) {
    View *view = (View *)self;
    return PyLong_FromLongLong(((const int64_t *)view->owner->stamps.buf)[view->row]);
}

static void view_dealloc(PyObject *self) {
    Py_DECREF(((View *)self)->owner);
    PyObject_Free(self);
}

static PyGetSetDef view_attributes[] = {{"ts", view_ts, NULL, "when, in ns", NULL}, {NULL}};

static PyTypeObject ViewType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "limit_iterator.View",
    .tp_basicsize = sizeof(View),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_dealloc = view_dealloc,
    .tp_getset = view_attributes,
};

static PyObject *events_next(PyObject *self) {
    Events *events = (Events *)self;
    if (events->row == events->rows) {
        return NULL; /* the end: no exception is set */
    }
    View *view = PyObject_New(View, &ViewType);
    if (view == NULL) {
        return NULL;
    }
    Py_INCREF(self);
    view->owner = events;
    view->row = events->row++;
    return (PyObject *)view;
}

static void events_dealloc(PyObject *self) {
    PyBuffer_Release(&((Events *)self)->stamps);
    PyObject_Free(self);
}

static PyTypeObject EventsType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "limit_iterator.Events",
    .tp_basicsize = sizeof(Events),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_dealloc = events_dealloc,
    .tp_iter = PyObject_SelfIter,
    .tp_iternext = events_next,
};

static PyObject *events_of(PyObject *Py_UNUSED(module), PyObject *stamps) {
    Events *events = PyObject_New(Events, &EventsType);
    if (events == NULL) {
        return NULL;
    }
    events->stamps.obj = NULL; /* so that it can be released whether or not the buffer is given */
    if (PyObject_GetBuffer(stamps, &events->stamps, PyBUF_SIMPLE) < 0) {
        Py_DECREF(events);
        return NULL;
    }
    events->row = 0;
    events->rows = events->stamps.len / (Py_ssize_t)sizeof(int64_t);
    return (PyObject *)events;
}

static PyMethodDef functions[] = {{"events", events_of, METH_O, "Views of rows, one after the other."}, {NULL}};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, .m_name = "limit_iterator", .m_size = -1, .m_methods = functions
};

PyMODINIT_FUNC PyInit_limit_iterator(void) {
    if (PyType_Ready(&ViewType) < 0 || PyType_Ready(&EventsType) < 0) {
        return NULL;
    }
    return PyModule_Create(&module);
}
