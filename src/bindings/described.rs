//! `described`: a native method that Python takes for the function that describes it.
//!
//! `mock.create_autospec` and others look at the parameters of functions only, never at those of a native
//! method. A function in Python that calls the method would do, at a quarter of the time that a
//! `publish()` takes. So an object of this type answers as the function does, its class included, and
//! when it is called it calls the method.

use std::ffi::{c_int, c_void};
use std::mem::{offset_of, size_of};
use std::ptr;

use pyo3::exceptions::PyTypeError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyType;

#[repr(C)]
struct Described {
    head: ffi::PyObject,
    vectorcall: Option<ffi::vectorcallfunc>,
    method: *mut ffi::PyObject,
    function: *mut ffi::PyObject,
}

/// A callable for the body of a class: with the speed of the native `method`, and in all else
/// `function`.
#[pyfunction]
#[pyo3(signature = (method, function, /))]
#[allow(unsafe_code)]
pub(super) fn described<'py>(
    method: Bound<'py, PyAny>,
    function: Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = method.py();
    if !method.is_callable() || !function.is_callable() {
        return Err(PyTypeError::new_err("both must be callable"));
    }
    let class = described_type(py)?.as_type_ptr();
    // SAFETY: the type is ours, so the allocation has the size of `Described`, and its fields are
    // filled before anybody sees the object. They own the two references.
    unsafe {
        let object = Bound::from_owned_ptr_or_err(py, ffi::PyType_GenericAlloc(class, 0))?;
        let described = object.as_ptr().cast::<Described>();
        (*described).vectorcall = Some(call);
        (*described).method = method.into_ptr();
        (*described).function = function.into_ptr();
        Ok(object)
    }
}

#[allow(unsafe_code)]
fn described_type(py: Python<'_>) -> PyResult<&Bound<'_, PyType>> {
    static TYPE: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    let made = TYPE.get_or_try_init(py, || {
        let slot = |slot: c_int, pfunc: *mut c_void| ffi::PyType_Slot { slot, pfunc };
        let end = ffi::PyMemberDef {
            name: ptr::null(),
            type_code: 0,
            offset: 0,
            flags: 0,
            doc: ptr::null(),
        };
        let offset = ffi::PyMemberDef {
            name: c"__vectorcalloffset__".as_ptr(),
            type_code: ffi::Py_T_PYSSIZET,
            offset: offset_of!(Described, vectorcall) as ffi::Py_ssize_t,
            flags: ffi::Py_READONLY,
            doc: ptr::null(),
        };
        let mut members = [offset, end];
        let mut slots = [
            slot(ffi::Py_tp_members, members.as_mut_ptr().cast()),
            slot(ffi::Py_tp_call, ffi::PyVectorcall_Call as *mut c_void),
            slot(ffi::Py_tp_descr_get, bind as *mut c_void),
            slot(ffi::Py_tp_getattro, attribute as *mut c_void),
            slot(ffi::Py_tp_repr, represent as *mut c_void),
            slot(ffi::Py_tp_dealloc, deallocate as *mut c_void),
            slot(0, ptr::null_mut()),
        ];
        let flags = ffi::Py_TPFLAGS_DEFAULT
            | ffi::Py_TPFLAGS_HAVE_VECTORCALL
            | ffi::Py_TPFLAGS_METHOD_DESCRIPTOR;
        let mut spec = ffi::PyType_Spec {
            name: c"oxmqtt._native.Described".as_ptr(),
            basicsize: size_of::<Described>() as c_int,
            itemsize: 0,
            flags: flags as _,
            slots: slots.as_mut_ptr(),
        };
        // SAFETY: the specification is complete, and Python copies what it needs of it.
        let made =
            unsafe { Bound::from_owned_ptr_or_err(py, ffi::PyType_FromSpec(&raw mut spec))? };
        PyResult::Ok(made.cast_into::<PyType>()?.unbind())
    })?;
    Ok(made.bind(py))
}

/// The arguments go to the method as they are; `self` is the first, as its descriptor wants it.
// SAFETY: Python calls it with an object of the type, attached, and with valid arguments.
#[allow(unsafe_code)]
unsafe extern "C" fn call(
    object: *mut ffi::PyObject,
    arguments: *const *mut ffi::PyObject,
    count: usize,
    names: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    unsafe {
        let method = (*object.cast::<Described>()).method;
        ffi::PyObject_Vectorcall(method, arguments, count, names)
    }
}

/// A bound method of Python's, as a function gives it; the object itself where it is asked by the class.
// SAFETY: as for `call`.
#[allow(unsafe_code)]
unsafe extern "C" fn bind(
    object: *mut ffi::PyObject,
    instance: *mut ffi::PyObject,
    _class: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    static METHOD: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    unsafe {
        let py = Python::assume_attached();
        let object = Bound::from_borrowed_ptr(py, object);
        let Some(instance) = Bound::from_borrowed_ptr_or_opt(py, instance) else {
            return object.into_ptr();
        };
        let bound =
            METHOD.import(py, "types", "MethodType").and_then(|m| m.call1((object, instance)));
        bound.map_or_else(
            |error| {
                error.restore(py);
                ptr::null_mut()
            },
            Bound::into_ptr,
        )
    }
}

/// All attributes are the function's.
// SAFETY: as for `call`.
#[allow(unsafe_code)]
unsafe extern "C" fn attribute(
    object: *mut ffi::PyObject,
    name: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    unsafe { ffi::PyObject_GetAttr((*object.cast::<Described>()).function, name) }
}

// SAFETY: as for `call`.
#[allow(unsafe_code)]
unsafe extern "C" fn represent(object: *mut ffi::PyObject) -> *mut ffi::PyObject {
    unsafe { ffi::PyObject_Repr((*object.cast::<Described>()).function) }
}

// SAFETY: Python calls it once, with the last reference gone. An object of a heap type owns a
// reference to that.
#[allow(unsafe_code)]
unsafe extern "C" fn deallocate(object: *mut ffi::PyObject) {
    unsafe {
        let described = object.cast::<Described>();
        ffi::Py_DECREF((*described).method);
        ffi::Py_DECREF((*described).function);
        let class = ffi::Py_TYPE(object);
        ffi::PyObject_Free(object.cast());
        ffi::Py_DECREF(class.cast());
    }
}
